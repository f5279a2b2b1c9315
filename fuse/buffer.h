/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* DOOR_MAX_IO bytes for one message's answer; NULL: there is no memory. */
char *door_buffer_take(void);
/* Takes NULL. */
void door_buffer_give(char *buffer);
