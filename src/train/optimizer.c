/* SPDX-License-Identifier: Apache-2.0 */
/* The optimiser's chunks, shared out to a team. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum { TOGETHER = 16 }; /* chunks that a member takes at a time */

static void lay_out(sqzi_optimizer *o, sqzi_arena *arena)
{
    o->chunks = sqzi_arena_take(arena, o->n_chunks, sizeof *o->chunks);
    o->squares = sqzi_arena_take(arena, o->n_chunks, sizeof *o->squares);
}

sqz_status sqzi_optimizer_open(const sqzi_parameters *parameters, sqzi_thread_pool *pool,
                               uint32_t features, sqzi_optimizer *o, sqz_error *error)
{
    *o = (sqzi_optimizer){.parameters = parameters, .pool = pool};
    sqzk_optim_table_init(&o->kernels, features);
    for (uint32_t i = 0; i < parameters->n; i++)
        if (parameters->list[i].trained)
            o->n_chunks += (uint32_t)((parameters->list[i].n + SQZI_CHUNK - 1) / SQZI_CHUNK);
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(o, &arena);
    o->block = sqzi_allocate(parameters->allocator, arena.used);
    if (!o->block) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an optimiser");
    o->bytes = arena.used;
    arena = sqzi_arena_over(o->block, o->bytes);
    lay_out(o, &arena);
    sqzi_chunk *chunk = o->chunks;
    for (uint32_t i = 0; i < parameters->n; i++)
        for (size_t at = 0; parameters->list[i].trained && at < parameters->list[i].n;
             at += SQZI_CHUNK)
            *chunk++ = (sqzi_chunk){i, at};
    return SQZ_OK;
}

void sqzi_optimizer_close(sqzi_optimizer *o)
{
    if (o->parameters) sqzi_release(o->parameters->allocator, o->block, o->bytes);
    *o = (sqzi_optimizer){0};
}

typedef struct job {
    sqzi_optimizer *optimizer;
    const sqzi_adamw *adamw; /* NULL: the norm */
} job;

/* Numbers [first, first + n) of a gradient. Those of a list of rows are put together, so a chunk
 * has the bits that it has where all rows lie in memory. */
static const sqzi_real *gradient_of(const sqzi_parameter *p, size_t first, size_t n,
                                    sqzi_real memory[SQZI_CHUNK])
{
    if (!p->rows) return p->gradient + first;
    const size_t width = p->rows->width, end = first + n;
    memset(memory, 0, n * sizeof *memory);
    for (size_t row = first / width; row * width < end; row++) {
        const uint32_t place = p->rows->places[row];
        const size_t from = row * width > first ? row * width : first,
                     to = (row + 1) * width < end ? (row + 1) * width : end;
        if (place != SQZI_NO_ROW)
            memcpy(memory + (from - first), p->rows->numbers + place * width + (from - row * width),
                   (to - from) * sizeof *memory);
    }
    return memory;
}

static void update(const sqzi_optimizer *o, const sqzi_adamw *a, const sqzi_parameter *p,
                   size_t first, size_t n)
{
    sqzi_real memory[SQZI_CHUNK];
    const double rate = a->rate * p->rate, t = (double)a->t;
    const sqzk_adamw_args args = {.n = n,
                                  .w = p->master + first,
                                  .m = p->m + first,
                                  .v = p->v + first,
                                  .gradient = gradient_of(p, first, n, memory),
                                  .scale = (sqzi_real)a->scale,
                                  .keep = (sqzi_real)(1 - rate * (p->decays ? a->decay : 0)),
                                  .one_minus_beta1 = (sqzi_real)(1 - a->beta1),
                                  .beta2 = (sqzi_real)a->beta2,
                                  .one_minus_beta2 = (sqzi_real)(1 - a->beta2),
                                  .step = (sqzi_real)(rate / (1 - pow(a->beta1, t))),
                                  .correction = (sqzi_real)sqrt(1 - pow(a->beta2, t)),
                                  .epsilon = (sqzi_real)a->epsilon};
    o->kernels.adamw(&args);
    if (!p->rows) memset(p->gradient + first, 0, n * sizeof *p->gradient);
}

static double squares_of(const sqzi_optimizer *o, const sqzi_parameter *p, size_t first, size_t n)
{
    sqzi_real memory[SQZI_CHUNK];
    return o->kernels.squares(gradient_of(p, first, n, memory), n);
}

static void run(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_optimizer *o = j->optimizer;
    sqzi_turn turn = {.team = team};
    uint32_t part;
    const uint32_t parts = (o->n_chunks + TOGETHER - 1) / TOGETHER;
    while (sqzi_take_part(&turn, parts, &part))
        for (uint32_t i = part * TOGETHER; i < o->n_chunks && i < (part + 1) * TOGETHER; i++) {
            const sqzi_parameter *p = &o->parameters->list[o->chunks[i].parameter];
            const size_t first = o->chunks[i].first, left = p->n - first,
                         n = left < SQZI_CHUNK ? left : SQZI_CHUNK;
            if (j->adamw) update(o, j->adamw, p, first, n);
            else o->squares[i] = squares_of(o, p, first, n);
        }
}

double sqzi_optimizer_norm(sqzi_optimizer *o)
{
    double sum = 0;
    sqzi_thread_pool_run(o->pool, sqzi_thread_pool_size(o->pool), run, &(job){o, NULL});
    for (uint32_t i = 0; i < o->n_chunks; i++) sum += o->squares[i];
    return sqrt(sum);
}

double sqzi_clip_scale(double norm, double clip)
{
    if (clip <= 0) return 1;
    const double scale = clip / (norm + 1e-6);
    return scale < 1 ? scale : 1;
}

void sqzi_optimizer_step(sqzi_optimizer *o, const sqzi_adamw *adamw)
{
    sqzi_thread_pool_run(o->pool, sqzi_thread_pool_size(o->pool), run, &(job){o, adamw});
    for (uint32_t i = 0; i < o->parameters->n; i++)
        if (o->parameters->list[i].rows) sqzi_row_list_clear(o->parameters->list[i].rows);
}
