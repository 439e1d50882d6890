/* SPDX-License-Identifier: Apache-2.0 */
/* JSON of bounded depth and memory. */
#ifndef SQZI_JSON_TEXT_H
#define SQZI_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include <squeezebert/status.h>

/* What parsed JSON may take beyond 16 times the file that it came from. */
enum { SQZI_JSON_SPARE = 12 << 20 };

/* Parse `bytes` of a file called `name`, which has file_bytes. Depth and memory are bounded: the
 * values may take 16 times the file, and beyond that what *spare has, which is taken from it.
 * strict: by the letter of JSON, and a key that comes twice is an error; else as Python writes and
 * reads it (json_lenient.h). SQZ_EFORMAT with the offset, SQZ_ELIMIT, SQZ_ENOMEM. */
typedef struct sqzi_json_text {
    const char *name;
    const void *data;
    size_t bytes, file_bytes;
    bool strict;
} sqzi_json_text;
SQZ_NODISCARD sqz_status sqzi_json_parse(sqzi_json_text text, uint64_t *spare, json_t **out,
                                         sqz_error *error);

#endif
