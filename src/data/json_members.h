/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON object cut into its members, whose values are checked and left as they stand. */
#ifndef SQZI_JSON_MEMBERS_H
#define SQZI_JSON_MEMBERS_H

#include <squeezebert/data.h>

#include "base/memory.h"

enum {
    SQZI_JSON_DEPTH = 1000
}; /* arrays and objects in each other, at most; Python's is about that */

/* name without its quotes, value with all of its own. */
typedef struct sqzi_json_member {
    sqz_text name, value;
} sqzi_json_member;

/* Append the members of the object that line [n] is to `members`. JSON as RFC 8259 has it, with
 * NaN, Infinity and -Infinity. TAB and CR between tokens become spaces, so that a value passed on
 * stays in its line. SQZ_EFORMAT and SQZ_ELIMIT (depth, members) with error.offset, the byte of the
 * line; SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_json_members(char *line, size_t n, sqzi_buffer *members,
                                           sqz_error *error);

/* The text of a string without its quotes, checked before, decoded; `to` may be where it lies. */
size_t sqzi_json_decode(sqz_text string, char *to);

#endif
