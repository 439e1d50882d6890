/* SPDX-License-Identifier: Apache-2.0 */
/* The running side of a task: windows sorted by length, packed into batches under the token budget,
 * run, and their rows left in the slab. Sorting keeps sequences of like length together, so that
 * threads share a batch evenly; a window's bits do not depend on its batch. */
#include <string.h>

#include "base/error.h"
#include "task/engine.h"

enum { MAX_SEQUENCES = 256, LEAST_SESSION = 128 };

typedef struct batch_plan {
    const sqzi_windows *windows;
    const uint32_t *order;          /* window numbers, longest first */
    const sqz_embed_options *embed; /* NULL: logits */
    uint32_t columns;
    uint32_t *first; /* [MAX_SEQUENCES + 1] */
    uint32_t *ids;   /* [batch_tokens] */
    uint8_t *types;
    uint32_t *rows; /* [batch_tokens], masked LM */
    uint32_t *skip; /* [MAX_SEQUENCES] */
} batch_plan;

/* Window numbers by falling length, equal ones in their order: a counting sort, lengths are at most
 * max_length. */
static sqz_status sort_windows(sqz_task *task, const sqzi_windows *windows, uint32_t **order,
                               sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *place;
    const uint32_t longest = task->options.max_length;
    TAKE(place, sqzi_slab_take_zeroed(&task->slab, (size_t)longest + 2, sizeof *place));
    TAKE(*order, sqzi_slab_take(&task->slab, windows->n, sizeof **order));
    for (uint32_t w = 0; w < windows->n; w++) place[longest - windows->items[w].n + 1]++;
    for (uint32_t l = 0; l <= longest; l++) place[l + 1] += place[l];
    for (uint32_t w = 0; w < windows->n; w++) (*order)[place[longest - windows->items[w].n]++] = w;
fail:
    return status;
}

static uint32_t rows_of(const sqz_task *task, const batch_plan *plan, const sqzi_window *window)
{
    if (plan->embed) return plan->embed->pooling == SQZ_POOLING_NONE ? window->n : 1;
    switch (task->info->head) {
    case SQZ_HEAD_TOKEN:
    case SQZ_HEAD_QUESTION: return window->n;
    case SQZ_HEAD_MASKED_LM: return window->n_wanted;
    default: return 1;
    }
}

/* A session that holds n_tokens: opened when needed, doubled when too small, never over the
 * budget. */
static sqz_status ready_session(sqz_task *task, uint32_t n_tokens, sqz_error *error)
{
    if (task->session_tokens >= n_tokens) return SQZ_OK;
    uint32_t tokens = task->session_tokens ? task->session_tokens : LEAST_SESSION;
    while (tokens < n_tokens) tokens *= 2;
    if (tokens > task->options.batch_tokens) tokens = task->options.batch_tokens;
    sqz_session_close(task->session);
    task->session = NULL;
    task->session_tokens = 0;
    const sqz_session_options options = {.max_tokens = tokens,
                                         .max_sequences = MAX_SEQUENCES,
                                         .max_length = task->options.max_length};
    const sqz_status status = sqz_session_open(task->model, &options, &task->session, error);
    if (status == SQZ_OK) task->session_tokens = tokens;
    return status;
}

/* Lay the windows order[begin..end) side by side; the tokens and the rows that they give. */
static void lay_batch(const sqz_task *task, batch_plan *plan, uint32_t begin, uint32_t end,
                      uint32_t *n_tokens, uint32_t *n_rows)
{
    *n_tokens = *n_rows = 0;
    plan->first[0] = 0;
    for (uint32_t i = begin; i < end; i++) {
        const sqzi_window *window = &plan->windows->items[plan->order[i]];
        memcpy(plan->ids + *n_tokens, window->ids, window->n * sizeof *plan->ids);
        memcpy(plan->types + *n_tokens, window->types, window->n);
        plan->skip[i - begin] = window->skip;
        for (uint32_t r = 0; r < window->n_wanted; r++)
            plan->rows[*n_rows + r] = *n_tokens + window->wanted[r];
        *n_rows += rows_of(task, plan, window);
        *n_tokens += window->n;
        plan->first[i - begin + 1] = *n_tokens;
    }
}

/* Run order[begin..end) as one batch. */
static sqz_status run_batch(sqz_task *task, batch_plan *plan, uint32_t begin, uint32_t end,
                            sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t n_tokens, n_rows;
    float *rows;
    lay_batch(task, plan, begin, end, &n_tokens, &n_rows);
    TRY(ready_session(task, n_tokens, error));
    TAKE(rows, sqzi_slab_take(&task->slab, (size_t)n_rows * plan->columns, sizeof *rows));
    const sqz_batch batch = {.n_sequences = end - begin,
                             .first = plan->first,
                             .ids = plan->ids,
                             .types = task->info->n_token_types > 1 ? plan->types : NULL};
    if (plan->embed) {
        sqz_embed_options options = *plan->embed;
        options.skip = plan->skip;
        TRY(sqz_embed(task->session, &batch, &options, rows, plan->columns, error));
    } else
        TRY(sqz_logits(task->session, &batch,
                       task->info->head == SQZ_HEAD_MASKED_LM ? plan->rows : NULL, n_rows, rows,
                       plan->columns, error));
    for (uint32_t i = begin; i < end; i++) {
        sqzi_window *window = &plan->windows->items[plan->order[i]];
        window->rows = rows;
        rows += (size_t)rows_of(task, plan, window) * plan->columns;
    }
fail:
    return status;
}

/* A batch that met a NaN or an infinity is run again window by window, so that only the inputs at
 * fault fail. */
static sqz_status run_singly(sqz_task *task, batch_plan *plan, uint32_t begin, uint32_t end,
                             sqz_outcome *outcomes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = begin; i < end; i++) {
        sqz_error fault = {0};
        const sqz_status one = run_batch(task, plan, i, i + 1, &fault);
        if (one == SQZ_OK) continue;
        FAIL_IF(one != SQZ_ENUMERIC, one, fault.offset, "%s", fault.text);
        TRY(sqzi_task_fault(task, &outcomes[plan->windows->items[plan->order[i]].input], one,
                            fault.text, error));
    }
fail:
    return status;
}

static sqz_status make_plan(sqz_task *task, const sqzi_windows *windows,
                            const sqz_embed_options *embed, batch_plan *plan, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t *order = NULL;
    const size_t budget = task->options.batch_tokens;
    TRY(sort_windows(task, windows, &order, error));
    *plan = (batch_plan){.windows = windows, .order = order, .embed = embed};
    plan->columns = embed ? embed->dimensions : task->info->n_labels;
    TAKE(plan->first, sqzi_slab_take(&task->slab, MAX_SEQUENCES + 1, sizeof *plan->first));
    TAKE(plan->ids, sqzi_slab_take(&task->slab, budget, sizeof *plan->ids));
    TAKE(plan->types, sqzi_slab_take(&task->slab, budget, sizeof *plan->types));
    TAKE(plan->skip, sqzi_slab_take(&task->slab, MAX_SEQUENCES, sizeof *plan->skip));
    TAKE(plan->rows, sqzi_slab_take(&task->slab, budget, sizeof *plan->rows));
fail:
    return status;
}

sqz_status sqzi_task_run(sqz_task *task, const sqzi_windows *windows,
                         const sqz_embed_options *embed, sqz_outcome *outcomes, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    batch_plan plan = {0};
    if (!windows->n) return SQZ_OK;
    TRY(make_plan(task, windows, embed, &plan, error));
    for (uint32_t begin = 0, end; begin < windows->n; begin = end) {
        uint32_t tokens = 0;
        for (end = begin; end < windows->n && end - begin < MAX_SEQUENCES; end++) {
            const uint32_t n = windows->items[plan.order[end]].n;
            if (end > begin && tokens + n > task->options.batch_tokens) break;
            tokens += n;
        }
        const sqz_status run = run_batch(task, &plan, begin, end, error);
        if (run == SQZ_ENUMERIC) TRY(run_singly(task, &plan, begin, end, outcomes, error));
        else TRY(run);
    }
fail:
    return status;
}
