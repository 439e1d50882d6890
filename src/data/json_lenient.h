/* SPDX-License-Identifier: Apache-2.0 */
/* JSON as Python's json module writes and reads it, which is how most folders were made: NaN,
 * Infinity, numbers of any size, halves of surrogate pairs, a byte order mark. jansson knows none
 * of these, so it reads the text through a filter that spells them otherwise. */
#ifndef SQZI_JSON_LENIENT_H
#define SQZI_JSON_LENIENT_H

#include <jansson.h>

/* NaN becomes the string "NaN", which no field takes for a number; what no double holds, and
 * Infinity, the largest double with its sign (sqzi_json_number gives it as infinite); an integer
 * beyond 64 bits a real; half a surrogate pair U+FFFD. Of equal keys the last counts. NULL with
 * *fault as json_loadb has it. */
json_t *sqzi_json_lenient(const char *text, size_t bytes, json_error_t *fault);

#endif
