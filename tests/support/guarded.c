/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "support/guarded.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/test.h"

sqzt_guarded sqzt_guarded_open(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), usable = (bytes + page - 1) / page * page;
    unsigned char *map = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + usable, page, PROT_NONE), 0);
    memset(map, 0xA5, usable);
    return (sqzt_guarded){map + usable - bytes, bytes, map, usable + page};
}

void sqzt_guarded_close(sqzt_guarded *guarded)
{
    munmap(guarded->map, guarded->map_bytes);
    guarded->map = NULL;
}
