/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeper and client say to each other beside guest-agent/protocol.h. The keeper never passes
 * these on from the guest: a type or value in these ranges is the keeper's own word.
 */
#pragma once

/* Keeper→client frame: str message, to be shown to the user once; the operation goes on. */
#define KEEPER_NOTE 0x100u

/* Values of an EXIT with PROTO_FAILED, beyond every errno. */
#define KEEPER_ERRNO_MAX 4095
#define KEEPER_STOPPED 4096   /* the VM is stopped: by gdb, or paused */
#define KEEPER_NOT_READY 4097 /* the guest is not (yet) able to do anything */
