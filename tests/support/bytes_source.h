/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in memory as a stream: what sqz_rows_source reads. */
#ifndef SQZT_BYTES_SOURCE_H
#define SQZT_BYTES_SOURCE_H

#include <stddef.h>
#include <string.h>

typedef struct sqzt_bytes {
    const char *bytes;
    size_t n, at;
} sqzt_bytes;

/* user: an sqzt_bytes */
static inline ptrdiff_t sqzt_read_bytes(void *user, void *bytes, size_t n)
{
    sqzt_bytes *m = user;
    const size_t got = m->n - m->at < n ? m->n - m->at : n;
    memcpy(bytes, m->bytes + m->at, got);
    m->at += got;
    return (ptrdiff_t)got;
}

#endif
