/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: lines "key value…" on stdin up to its end; PROTOCOL.md lists the keys.
 * Values are percent-encoded. What is unknown is an error.
 */
#ifndef NFS_CONFIG_H
#define NFS_CONFIG_H

#include <stdio.h>

#include "server.h"

/* Fills @s. Negative errno; the reason has been said on stderr with the line's number. */
int config_read(struct server *s, FILE *f);

#endif
