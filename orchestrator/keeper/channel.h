/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's channel: QEMU's socket of the virtio-serial port. Connects (and again, with growing
 * pauses, as long as QEMU lives), opens sessions (protocol.h: pad, HELLO, nonce), sends what
 * streams.c has and hands it what comes.
 */
#pragma once

#include "keeper.h"

Channel *channel_new(Keeper *k);
/* Begins to connect: once all other parts are there. */
void channel_start(Channel *c);
void channel_free(Channel *c);

/* There is something to send. Cheap; may be called at any time, also with NULL. */
void channel_send(Channel *c);
/* Everything that runs is lost (`why` is for the user): starts over with a HELLO. */
void channel_new_session(Channel *c, const char *why);
/* "" while unknown */
const char *channel_agent_version(const Channel *c);
gint64 channel_up_us(const Channel *c);
