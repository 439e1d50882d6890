/* SPDX-License-Identifier: Apache-2.0 */
/* What a model file says of its own bytes, written and compared (doc/format.md "Checksums").
 *
 * Three SHA-256 in hexadecimal. The header's is of everything before the data of the tensors, with
 * the digits of all three read as '0'. The tensors' is of all that follows, padding included.
 * `through` has one a tensor: of the data from their begin to where the next tensor begins, or the
 * file ends, so that the first one that is damaged has a name. One pass makes all of them.
 */
#ifndef SQZI_CHECKSUM_H
#define SQZI_CHECKSUM_H

#include "io/gguf.h"

#define SQZI_CHECKSUM_HEADER  "sqz.header.sha256"
#define SQZI_CHECKSUM_TENSORS "sqz.tensors.sha256"
#define SQZI_CHECKSUM_THROUGH "sqz.tensors.sha256_through"

/* Put them into a file that sqzi_gguf_write wrote, and whose bytes will not change any more.
 * SQZ_EOUTPUT, SQZ_ERESOURCE, SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_checksum_put(const sqz_allocator *allocator, sqzi_file_writer *file,
                                           sqz_error *error);

/* Compare; *there = false and SQZ_OK for a file that has none. Reads the whole file, and gives its
 * pages back. SQZ_EFORMAT: the header or a tensor is damaged, and which. */
SQZ_NODISCARD sqz_status sqzi_checksum_check(const sqzi_file_map *map, const sqzi_gguf *gguf,
                                             bool *there, sqz_error *error);

#endif
