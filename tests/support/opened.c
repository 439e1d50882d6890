/* SPDX-License-Identifier: Apache-2.0 */
#include "support/opened.h"

#include "support/test.h"

sqzt_opened sqzt_open_file(const char *path, const char *cpu, uint32_t n_threads,
                           const sqz_session_options *room)
{
    sqzt_opened o = {0};
    sqz_error error = {0};
    sqzt_assert_ok(sqz_context_open(&(sqz_context_options){.n_threads = n_threads, .cpu = cpu},
                                    &o.context, &error),
                   &error);
    sqzt_assert_ok(sqz_model_open(o.context, path, &o.model, &error), &error);
    sqzt_assert_ok(sqz_session_open(o.model, room, &o.session, &error), &error);
    return o;
}

sqzt_opened sqzt_open_tiny(const sqzt_tiny *tiny, uint32_t n_threads,
                           const sqz_session_options *room)
{
    const char *path = sqzt_temporary("opened.gguf");
    sqzt_tiny_write(tiny, path);
    return sqzt_open_file(path, NULL, n_threads, room);
}

void sqzt_close(sqzt_opened *opened)
{
    sqz_session_close(opened->session);
    sqz_model_close(opened->model);
    sqz_context_close(opened->context);
}
