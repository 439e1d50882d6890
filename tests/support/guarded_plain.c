/* SPDX-License-Identifier: Apache-2.0 */
/* guarded.h without pages that can be closed: a write past the end is seen when the memory is given
 * back; a read past it is not. */
#include "support/guarded.h"

#include <stdlib.h>
#include <string.h>

#include "support/test.h"

enum { FENCE = 256, FILL = 0xA5, ALIGNMENT = 64 };

sqzt_guarded sqzt_guarded_open(size_t bytes)
{
    const size_t usable = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    unsigned char *map = aligned_alloc(ALIGNMENT, usable + FENCE);
    assert_non_null(map);
    memset(map, FILL, usable + FENCE);
    return (sqzt_guarded){map + usable - bytes, bytes, map, usable + FENCE};
}

void sqzt_guarded_close(sqzt_guarded *guarded)
{
    const unsigned char *end = (const unsigned char *)guarded->p + guarded->bytes;
    for (size_t i = 0; i < FENCE; i++)
        if (end[i] != FILL) fail_msg("byte %zu past the end of %zu is written", i, guarded->bytes);
    free(guarded->map);
    guarded->map = NULL;
}
