/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

struct json_object;

/* Sends the answer and ends its reference. */
void control_answer(int fd, struct json_object *answer);
struct json_object *control_ok(void);
struct json_object *control_error(const char *sentence);
