/* SPDX-License-Identifier: Apache-2.0 */
/* Memory whose last byte lies before a page that cannot be touched: a kernel that reads or writes
 * past its end stops the test. */
#ifndef SQZT_GUARDED_H
#define SQZT_GUARDED_H

#include <stddef.h>

typedef struct sqzt_guarded {
    void *p;     /* `bytes` bytes, filled with 0xA5; aligned to what bytes is a multiple of */
    size_t bytes;
    void *map;
    size_t map_bytes;
} sqzt_guarded;

sqzt_guarded sqzt_guarded_open(size_t bytes);
void sqzt_guarded_close(sqzt_guarded *guarded);

#endif
