/* SPDX-License-Identifier: Apache-2.0 */
/* Zip files in memory: the members that the list at the end names, stored or deflated. No
 * encryption, no parts, no member of 4 GiB. */
#ifndef SQZI_ZIP_ARCHIVE_H
#define SQZI_ZIP_ARCHIVE_H

#include <squeezebert/status.h>

#include "base/span.h"

typedef struct sqzi_zip_member {
    sqzi_span name;
    bool deflated;
    const unsigned char *data; /* [packed_bytes] within the file */
    size_t packed_bytes, bytes;
    uint32_t crc;
} sqzi_zip_member;

bool sqzi_is_zip(const unsigned char *data, size_t bytes);

/* Call `take` for every member in the order of the list; it may refuse one. `name` stands in error
 * texts.
 * SQZ_EFORMAT: a list or a member that is damaged; SQZ_EUNSUPPORTED: another way of packing than
 * stored and deflate, 4 GiB and more. */
typedef sqz_status sqzi_zip_take(void *user, const sqzi_zip_member *member, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_zip_read(const char *name, const unsigned char *data, size_t bytes,
                                       sqzi_zip_take *take, void *user, sqz_error *error);

/* The member's bytes to out [bytes], checked against their sum. SQZ_EFORMAT: they are not what the
 * list says. */
SQZ_NODISCARD sqz_status sqzi_zip_unpack(const char *name, const sqzi_zip_member *member,
                                         unsigned char *out, sqz_error *error);

#endif
