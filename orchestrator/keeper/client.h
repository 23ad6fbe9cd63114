/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devvm's connections: RUNDIR/keeper.sock, for processes of our own uid. They speak the agent's
 * protocol with session 0 and stream numbers of their own; see client-proto.h for the rest.
 */
#pragma once

#include "keeper.h"

/* Takes the listening socket. */
Clients *clients_new(Keeper *k, int listen_fd);
void clients_free(Clients *all);

/* The guest became ready, or never will: answers those who asked to be told. */
void clients_guest_changed(Clients *all);
/* Something is still on its way to a client. */
gboolean clients_busy(const Clients *all);
/* No new ones. */
void clients_close(Clients *all);
