/* SPDX-License-Identifier: Apache-2.0 */
#include "support/allocation_sweep.h"

#include "support/test.h"

sqzt_memory sqzt_swept;

enum { MOST_ALLOCATIONS = 200000 };

sqzt_subject sqzt_sweep_begin(void)
{
    sqz_error error = {0};
    sqzt_swept = (sqzt_memory){0};
    sqzt_subject s = {.allocator = sqzt_allocator(&sqzt_swept)};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.allocator = &s.allocator,
                                                           .n_threads = 1},
                                    &s.context, &error),
                   &error);
    return s;
}

void sqzt_sweep_end(const sqzt_subject *s)
{
    sqz_context_close(s->context);
    assert_int_equal(sqzt_swept.held_bytes, 0);
}

uint64_t sqzt_sweep(const char *name, sqzt_scenario *run, const sqzt_subject *s)
{
    return sqzt_sweep_every(name, run, s, 1);
}

uint64_t sqzt_sweep_every(const char *name, sqzt_scenario *run, const sqzt_subject *s,
                          uint32_t step)
{
    sqzt_memory *memory = &sqzt_swept;
    for (uint64_t n = 1; n < MOST_ALLOCATIONS; n += step) {
        sqz_error error = {0};
        const uint64_t held = memory->held_bytes, calls = memory->calls;
        memory->fail_at = calls + n;
        const sqz_status status = run(s, &error);
        memory->fail_at = 0;
        if (memory->held_bytes != held)
            fail_msg("%s: %lld bytes are held after allocation %llu", name,
                     (long long)(memory->held_bytes - held), (unsigned long long)n);
        if (memory->calls < calls + n) {
            if (status != SQZ_OK) fail_msg("%s: without a failure: %s", name, error.text);
            return memory->calls - calls;
        }
        if (status != SQZ_ENOMEM || error.code != SQZ_ENOMEM)
            fail_msg("%s: allocation %llu fails: status %s, '%s'", name, (unsigned long long)n,
                     sqz_status_name(status), error.text);
    }
    fail_msg("%s: no end of allocations", name);
    return 0;
}
