/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher over a packed batch. */
#include "train/teacher.h"

#include <string.h>

#include "base/error.h"
#include "squeeze/quantized_model.h"

/* ---- its type ---- */

/* What the blocks' matrices are; of a model without blocks, the table of words. */
static sqzi_type type_of(const sqz_model *model)
{
    sqzi_type type = SQZI_F32;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *tensor = sqzi_gguf_tensor_at(model->gguf, i);
        const bool block = tensor->name.n > 4 && memcmp(tensor->name.bytes, "blk.", 4) == 0;
        if (tensor->n_dims < 2 || (!block && model->encoder.n_blocks)) continue;
        if (tensor->type == SQZI_S8 || type == SQZI_F32) type = tensor->type;
    }
    return type;
}

/* Whether the file, as it is, is what is asked for; where it has to be rounded, the type. */
static sqz_status find_type(const sqz_model *model, sqz_teacher_type asked, bool *as_it_is,
                            sqz_quantize_type *type, sqz_error *error)
{
    static const char *const names[] = {"", "f32", "bf16", "s8"};
    sqz_status status = SQZ_OK;
    const sqzi_type own = type_of(model);
    FAIL_IF((unsigned)asked > SQZ_TEACHER_S8, SQZ_EINVAL, 0,
            "the teacher's type is %d, none of sqz_teacher_type", (int)asked);
    *type = asked == SQZ_TEACHER_S8 ? SQZ_QUANTIZE_S8 : SQZ_QUANTIZE_BF16;
    *as_it_is = asked == SQZ_TEACHER_AS_IS || (asked == SQZ_TEACHER_S8 && own == SQZI_S8) ||
                (asked == SQZ_TEACHER_BF16 && own == SQZI_BF16) ||
                (asked == SQZ_TEACHER_F32 && (own == SQZI_F32 || own == SQZI_F16));
    FAIL_IF(!*as_it_is && (asked == SQZ_TEACHER_F32 || sqzi_has_integers(model)), SQZ_EUNSUPPORTED,
            0,
            "the teacher cannot run in %s: its file holds %s, from which nothing leads there. "
            "Give the float file that it was made of, or leave the teacher's type as it is",
            names[asked], own == SQZI_BF16 ? "bf16" : "integers");
fail:
    return status;
}

sqz_status sqzi_teacher_check_type(const sqz_model *model, sqz_teacher_type asked, sqz_error *error)
{
    bool as_it_is;
    sqz_quantize_type type;
    return find_type(model, asked, &as_it_is, &type, error);
}

static sqz_status round_weights(sqz_context *context, const sqz_distil_recipe *recipe,
                                sqz_quantize_type type, sqzi_teacher *t, sqz_error *error)
{
    if (!recipe->scratch)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "a teacher in another type needs `scratch`: a name beside which a "
                         "temporary file can be written");
    sqz_model_close(t->model);
    t->model = NULL;
    t->rounded = type == SQZ_QUANTIZE_S8 ? "s8" : "bf16";
    return sqzi_quantized_open(context, recipe->teacher, type, recipe->scratch, &t->model, error);
}

sqz_status sqzi_teacher_open(sqz_context *context, const sqz_distil_recipe *recipe, sqzi_teacher *t,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_sha256 hash;
    sqz_quantize_type type = SQZ_QUANTIZE_S8;
    bool as_it_is = true;
    *t = (sqzi_teacher){0};
    TRY(sqz_model_open(context, recipe->teacher, &t->model, error));
    TRY(find_type(t->model, recipe->teacher_type, &as_it_is, &type, error));
    sqzi_sha256_init(&hash);
    sqzi_sha256_update(&hash, t->model->map.data, t->model->map.bytes);
    sqzi_sha256_final(&hash, t->sha256);
    if (!as_it_is) TRY(round_weights(context, recipe, type, t, error));
fail:
    return status;
}

void sqzi_teacher_close(sqzi_teacher *t)
{
    if (t->model) sqz_model_close(t->model);
    *t = (sqzi_teacher){0};
}

static bool keeps_rows(uint32_t needs)
{
    return needs & ~(uint32_t)(SQZI_NEEDS_LOGITS | SQZI_NEEDS_EMBEDDINGS);
}

void sqzi_teacher_layout(sqzi_teacher *t, const sqzi_distil_plan *plan,
                         const sqzi_distil_sizes *sizes, sqzi_arena *arena)
{
    const sqzi_encoder *encoder = plan->teacher;
    const size_t items = plan->tokens ? sizes->max_tokens : sizes->max_sequences;
    t->needs = sqzi_distil_needs_of(plan->weights);
    sqzi_workspace_layout(&t->workspace, encoder, sizes->max_tokens, sizes->max_length,
                          sizes->members, arena);
    sqzi_head_layout(&t->head, &t->model->head, sizes->members, arena);
    t->hidden = sqzi_arena_take(arena, (size_t)sizes->max_tokens * encoder->width,
                                sizeof *t->hidden);
    t->logits = sqzi_arena_take(arena, t->needs & SQZI_NEEDS_LOGITS ? items * plan->classes : 0,
                                sizeof *t->logits);
    t->embeddings = sqzi_arena_take(arena,
                                    t->needs & SQZI_NEEDS_EMBEDDINGS
                                        ? (size_t)sizes->max_sequences * plan->teacher_dimensions
                                        : 0,
                                    sizeof *t->embeddings);
    t->blocks = sqzi_arena_take(arena, encoder->n_blocks, sizeof *t->blocks);
    if (t->blocks) memset(t->blocks, 0, encoder->n_blocks * sizeof *t->blocks);
    sqzi_distil_keep_teacher(plan, sizes, t->blocks, arena);
}

typedef struct job {
    sqzi_teacher *teacher;
    const sqzi_batch *batch;
    sqzi_keep keep;
    sqzi_head_args head;
    sqzi_head_function *run;
} job;

static void encode(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    sqzi_teacher *t = j->teacher;
    const sqzi_encoder *encoder = &t->model->encoder;
    sqzi_encoder_run(encoder, j->batch, keeps_rows(t->needs) ? &j->keep : NULL, &t->workspace,
                     t->hidden, encoder->width, team);
}

static void run_head(void *argument, const sqzi_team *team)
{
    const job *j = argument;
    j->run(&j->head, team);
}

static void run(sqzi_teacher *t, sqzi_job *function, job *j)
{
    sqzi_thread_pool_run(t->model->context->pool, t->workspace.members, function, j);
}

static void classify(sqzi_teacher *t, job *j)
{
    const sqzi_head *head = &t->model->head;
    j->run = sqzi_head_logits;
    j->head.pooling = head->pooling;
    j->head.n = head->pooling > SQZ_POOLING_NONE ? j->batch->n_sequences : j->batch->n_tokens;
    j->head.out = t->logits;
    j->head.ldo = head->classes;
    run(t, run_head, j);
}

static void embed(sqzi_teacher *t, job *j, const uint32_t *skip)
{
    const sqz_model_info *info = &t->model->info;
    j->run = sqzi_head_embed;
    j->head.pooling = info->pooling;
    j->head.skip = skip;
    j->head.n = j->batch->n_sequences;
    j->head.out = t->embeddings;
    j->head.ldo = j->head.dimensions = info->dimensions;
    j->head.normalize = info->normalize;
    run(t, run_head, j);
}

sqz_status sqzi_teacher_run(sqzi_teacher *t, const sqzi_batch *batch, const uint32_t *skip,
                            sqz_error *error)
{
    job j = {.teacher = t,
             .batch = batch,
             .keep = {.blocks = t->blocks},
             .head = {.head = &t->model->head,
                      .kernels = &t->model->context->kernels,
                      .scratch = &t->head,
                      .hidden = t->hidden,
                      .first = batch->first}};
    t->workspace.numeric_error = t->head.numeric_error = false;
    run(t, encode, &j);
    if (t->needs & SQZI_NEEDS_LOGITS) classify(t, &j);
    if (t->needs & SQZI_NEEDS_EMBEDDINGS) embed(t, &j, skip);
    t->outputs = (sqzi_outputs){
        .logits = t->logits, .embeddings = t->embeddings, .hidden = t->hidden, .blocks = t->blocks};
    if (t->workspace.numeric_error || t->head.numeric_error)
        return sqzi_fail(error, SQZ_ENUMERIC, 0,
                         "a hidden state of the teacher is NaN or infinite, which an int8 layer "
                         "cannot take");
    return SQZ_OK;
}
