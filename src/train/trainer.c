/* SPDX-License-Identifier: Apache-2.0 */
/* Making a trainer, and writing what it has. */
#include "train/trainer.h"

#include <math.h>

#include "base/error.h"
#include "train/recipe.h"
#include "train/schedule.h"

static const sqz_allocator *allocator_of(const sqz_trainer *t)
{
    return &t->context->allocator;
}

const sqzi_distilling *sqzi_trainer_distilling(const sqz_trainer *t)
{
    return t->recipe.distil ? &t->distilling : NULL;
}

static bool reads_embeddings(const sqz_trainer *t)
{
    return t->loss.kind->reads & SQZI_READS_EMBEDDINGS ||
           (t->recipe.distil &&
            sqzi_distil_needs_of(t->distilling.recipe.weights) & SQZI_NEEDS_EMBEDDINGS);
}

static sqzi_gradient_model gradient_model(const sqz_trainer *t)
{
    const sqz_model *model = t->trainable.model;
    sqzi_gradient_model m = {.encoder = &model->encoder,
                             .head = &model->head,
                             .parameters = &t->trainable.parameters,
                             .kernels = &t->kernels,
                             .pool = t->context->pool,
                             .padding = t->gradient.model.padding,
                             .logits = t->logits};
    if (reads_embeddings(t))
        m.embed = (sqzi_embedding_use){model->info.pooling, model->info.dimensions,
                                       model->info.normalize != 0};
    return m;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void lay_out_whole(sqz_trainer *t, sqzi_arena *arena)
{
    const size_t n = t->facts.max_examples, numbers = n * t->loss.texts * t->loss.dimensions;
    t->whole.embeddings = sqzi_arena_take(arena, numbers, sizeof *t->whole.embeddings);
    t->whole.d = sqzi_arena_take(arena, numbers, sizeof *t->whole.d);
    t->whole.scratch = sqzi_arena_take(arena, t->loss.kind->room(&t->loss, n),
                                       sizeof *t->whole.scratch);
}

/* As many rows as a batch may have distinct words. */
static void lay_out_words(sqz_trainer *t, sqzi_arena *arena)
{
    const sqzi_table *table = &t->trainable.model->encoder.embedding.word;
    sqzi_parameters *p = &t->trainable.parameters;
    const uint64_t most = t->facts.max_batch_tokens;
    if (p->gradients.embedding.word_rows)
        sqzi_row_list_layout(&p->words, table->n_rows, table->width,
                             most < table->n_rows ? (uint32_t)most : table->n_rows, arena);
}

/* Memory of a batch. */
static void lay_out(sqz_trainer *t, sqzi_arena *arena)
{
    const sqzi_gradient_sizes *sizes = &t->facts.sizes;
    const sqzi_gradient_model model = gradient_model(t);
    const size_t tokens = sizes->max_tokens, sequences = sizes->max_sequences,
                 items = larger(tokens, t->facts.max_examples);
    sqzi_packed_part *p = &t->part;
    sqzi_batch_gradient_layout(&t->gradient, &model, sizes, arena);
    if (t->recipe.distil) {
        sqzi_distil_sizes own = {sizes->max_tokens, sizes->max_sequences, sizes->max_length,
                                 t->gradient.workspace.members},
                          teacher = own;
        teacher.max_tokens = t->facts.teacher_tokens;
        teacher.max_length = t->facts.teacher_length;
        sqzi_distilling_layout(&t->distilling, &t->gradient, &own, &teacher, arena);
    }
    p->first = sqzi_arena_take(arena, sequences + 1, sizeof *p->first);
    p->ids = sqzi_arena_take(arena, tokens, sizeof *p->ids);
    p->types = sqzi_arena_take(arena, tokens, sizeof *p->types);
    p->examples = sqzi_arena_take(arena, sequences, sizeof *p->examples);
    p->views = sqzi_arena_take(arena, sequences, sizeof *p->views);
    p->skip = sqzi_arena_take(arena, sequences, sizeof *p->skip);
    p->labels = sqzi_arena_take(arena, items, sizeof *p->labels);
    p->targets = sqzi_arena_take(arena, t->facts.max_examples,
                                 t->loss.classes * sizeof *p->targets);
    if (t->loss.kind->across) lay_out_whole(t, arena);
    lay_out_words(t, arena);
}

sqz_status sqzi_trainer_make_room(sqz_trainer *t, sqz_error *error)
{
    if (t->block) return SQZ_OK;
    sqzi_arena arena = sqzi_arena_over(NULL, SIZE_MAX);
    lay_out(t, &arena);
    t->block = arena.used == SIZE_MAX ? NULL : sqzi_allocate(allocator_of(t), arena.used);
    if (!t->block)
        return sqzi_fail(error, SQZ_ENOMEM, 0,
                         "no memory for %zu bytes of a batch: make it smaller, or accumulate over "
                         "more parts",
                         arena.used);
    t->bytes = arena.used;
    arena = sqzi_arena_over(t->block, t->bytes);
    lay_out(t, &arena);
    if (t->trainable.parameters.gradients.embedding.word_rows)
        sqzi_row_list_begin(&t->trainable.parameters.words);
    return SQZ_OK;
}

static sqz_status check_arguments(const char *base, const sqz_train_recipe *recipe,
                                  const sqz_train_data *data, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!base || !recipe || !data, SQZ_EINVAL, 0, "sqz_trainer_open: an argument is NULL");
    TRY(SQZI_RESERVED(recipe, "sqz_train_recipe", error));
    TRY(SQZI_RESERVED(data, "sqz_train_data", error));
    const bool labelled = recipe->distil ? recipe->distil->weights[SQZ_DISTIL_LABELS] > 0
                                         : recipe->loss == SQZ_LOSS_HEAD;
    FAIL_IF(!data->examples || !data->batch || (!data->labels && labelled), SQZ_EINVAL, 0,
            "sqz_trainer_open: the data's examples, labels or batch is NULL");
    FAIL_IF(recipe->distil && (recipe->loss || data->texts > 1), SQZ_EINVAL, 0,
            "a distillation learns one text an example, and no other loss of embeddings");
    FAIL_IF(data->n_examples == 0 || (labelled && data->n_labels == 0) ||
                (recipe->loss && data->n_labels) || data->n_batches == 0,
            SQZ_EINVAL, 0, "%u examples of %u labels in %u batches: there is nothing to train on",
            data->n_examples, data->n_labels, data->n_batches);
    FAIL_IF(data->n_labels > SQZI_MAX_WIDTH, SQZ_EINVAL, 0, "%u labels, at most %d are possible",
            data->n_labels, SQZI_MAX_WIDTH);
fail:
    return status;
}

static sqzi_loss loss_of(const sqz_trainer *t)
{
    static const sqzi_loss_kind no_labels = {
        .name = "none", .least_texts = 1, .most_texts = 1, .count = sqzi_count_items};
    const sqz_train_recipe *r = &t->recipe;
    const sqzi_loss_kind *kind = !t->labelled ? &no_labels
                                 : r->loss    ? sqzi_loss_find(sqzi_recipe_loss(r->loss))
                                              : sqzi_loss_of_problem(r->problem);
    return (sqzi_loss){.kind = kind,
                       .weight = r->distil ? r->distil->weights[SQZ_DISTIL_LABELS] : 1,
                       .classes = r->loss ? 1 : t->data.n_labels,
                       .tokens = r->head == SQZ_HEAD_TOKEN,
                       .smoothing = r->label_smoothing,
                       .weights = r->class_weights,
                       .texts = t->data.texts ? t->data.texts : 1,
                       .scale = r->scale,
                       .symmetric = r->symmetric != 0};
}

/* And not projections beside it alone. */
static bool trains_the_model(const sqzi_parameters *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->list[i].trained && !p->list[i].beside) return true;
    return false;
}

static sqz_status open_model(sqz_trainer *t, const char *base, const sqz_distil_recipe *asked,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_train_recipe *r = &t->recipe;
    const sqzi_wanted_head head = {.none = r->distil && !t->logits,
                                   .kind = r->head,
                                   .problem = r->problem,
                                   .pooling = r->pooling,
                                   .labels = t->data.labels,
                                   .n_labels = t->data.n_labels,
                                   .unnamed = t->unnamed,
                                   .task = t->task,
                                   .keep = r->keep_head != 0,
                                   .seed = r->seed};
    sqzi_trained trained = {.freeze_embeddings = r->freeze_embeddings != 0,
                            .freeze_blocks = r->freeze_encoder ? UINT32_MAX : r->freeze_blocks,
                            .head_rate = r->lr > 0 ? r->head_lr / r->lr : 1,
                            .bf16 = r->precision == SQZ_PRECISION_BF16,
                            .bits = sqzi_recipe_bits(r->fake_quantise),
                            .list_words = true};
    if (r->distil) sqzi_distilling_beside(&t->distilling, trained.beside);
    TRY(sqzi_trainable_open(t->context, base, &head, &trained, &t->trainable, error));
    sqz_model *model = t->trainable.model;
    FAIL_IF(r->freeze_blocks > model->info.n_layers, SQZ_EINVAL, 0,
            "%u blocks are to be frozen, the model has %u", r->freeze_blocks, model->info.n_layers);
    FAIL_IF(!trains_the_model(&t->trainable.parameters), SQZ_EINVAL, 0,
            "all of the model is frozen: there is nothing to train");
    t->recipe.pooling = trained.pooling;
    t->loss.dimensions = model->info.dimensions;
    t->gradient.model.padding = UINT32_MAX;
    TRY(sqzi_gguf_get_u32(model->gguf, "tokenizer.ggml.padding_token_id", false,
                          &t->gradient.model.padding, error));
    sqz_model_info limits = model->info;
    const sqz_model_info *teacher = NULL;
    if (r->distil) {
        TRY(sqzi_distilling_fit(&t->distilling, model, asked, &t->data, error));
        teacher = &t->distilling.teacher.model->info;
        sqzi_distilling_take(&t->distilling, &t->trainable.parameters, &t->kernels);
        sqzi_distilling_limit(&t->distilling, &limits);
    }
    TRY(sqzi_trainer_check_data(&t->data, r, &t->loss, &limits, teacher, &t->facts, error));
    if (r->distil && sqzi_distilling_reads_blocks(&t->distilling)) t->facts.sizes.narrow = false;
fail:
    return status;
}

/* The teacher, and what of the recipe is its: without labels, the kind of head and its classes. */
static sqz_status open_teacher(sqz_trainer *t, sqz_train_recipe *recipe, sqz_error *error)
{
    const sqz_status status = sqzi_distilling_open(t->context, recipe->distil, &t->distilling,
                                                   error);
    if (status != SQZ_OK) return status;
    const sqz_model *teacher = t->distilling.teacher.model;
    t->labelled = sqzi_distilling_has_labels(&t->distilling);
    t->logits = t->labelled || sqzi_distilling_has_logits(&t->distilling);
    recipe->distil = &t->distilling.recipe;
    if (t->labelled) return SQZ_OK;
    t->data.labels = NULL;
    t->data.n_labels = 0;
    t->task = (sqzi_span){"", 0};
    if (!t->logits) return SQZ_OK;
    if (teacher->info.head != SQZ_HEAD_SEQUENCE && teacher->info.head != SQZ_HEAD_TOKEN)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0,
                         "%s: its head is %s: logits of sequences and of tokens can be learned",
                         recipe->distil->teacher, sqz_head_name(teacher->info.head));
    recipe->head = teacher->info.head;
    recipe->problem = teacher->info.problem;
    t->data.labels = teacher->labels;
    t->unnamed = !teacher->info.labels_named;
    t->data.n_labels = teacher->info.n_labels;
    return sqzi_gguf_get_string(teacher->gguf, "sqz.task", false, &t->task, error);
}

sqz_status sqz_trainer_open(sqz_context *context, const char *base, const sqz_train_recipe *recipe,
                            const sqz_train_data *data, sqz_trainer **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_trainer *t = NULL;
    FAIL_IF(!context || !out, SQZ_EINVAL, 0, "sqz_trainer_open: an argument is NULL");
    TRY(check_arguments(base, recipe, data, error));
    t = sqzi_allocate_zeroed(&context->allocator, 1, sizeof *t);
    FAIL_IF(!t, SQZ_ENOMEM, 0, "no memory for a trainer");
    t->context = context;
    t->data = *data;
    t->task = sqzi_span_of(data->task ? data->task : "");
    t->labelled = true;
    t->logits = recipe->loss == SQZ_LOSS_HEAD;
    sqz_train_recipe own = *recipe;
    if (recipe->distil) TRY(open_teacher(t, &own, error));
    TRY(sqzi_recipe_settle(&own, &t->data, &t->recipe, error));
    t->loss = loss_of(t);
    TRY(open_model(t, base, recipe->distil, error));
    t->n_steps = (uint64_t)t->recipe.epochs * data->n_batches;
    t->warmup = sqzi_warmup_steps(t->recipe.warmup, t->n_steps);
    t->state.best_score = NAN;
    sqzk_grad_table_init(&t->kernels, context->kernels.features);
    TRY(sqzi_optimizer_open(&t->trainable.parameters, context->pool, context->kernels.features,
                            &t->optimizer, error));
    TRY(sqzi_trainer_make_room(t, error));
    *out = t;
    return SQZ_OK;
fail:
    sqz_trainer_close(t);
    return status;
}

void sqzi_trainer_free_room(sqz_trainer *t)
{
    sqzi_release(allocator_of(t), t->block, t->bytes);
    t->block = NULL;
}

void sqz_trainer_close(sqz_trainer *t)
{
    if (!t) return;
    const sqz_allocator allocator = t->context->allocator;
    sqzi_release(&allocator, t->best, t->n_best * sizeof *t->best);
    sqzi_release(&allocator, t->block, t->bytes);
    sqzi_optimizer_close(&t->optimizer);
    sqzi_trainable_close(&t->trainable);
    sqzi_distilling_close(&t->distilling);
    sqzi_release(&allocator, t, sizeof *t);
}

const sqz_model *sqz_trainer_model(const sqz_trainer *t)
{
    return t->trainable.model;
}

uint64_t sqzi_trainer_end(const sqz_trainer *t)
{
    const uint64_t most = t->recipe.max_steps;
    return most && most < t->n_steps ? most : t->n_steps;
}

uint64_t sqz_trainer_steps(const sqz_trainer *t)
{
    return sqzi_trainer_end(t);
}

size_t sqz_trainer_memory(const sqz_trainer *t)
{
    const sqzi_trainable *model = &t->trainable;
    return model->model->weights.capacity + model->packed.capacity + model->parameters.bytes +
           t->optimizer.bytes + t->bytes;
}

sqz_status sqzi_trainer_put(const sqz_trainer *t, bool masters, sqzi_gguf_writer *writer,
                            sqz_error *error)
{
    char history[SQZI_RECIPE_LINE];
    sqzi_recipe_history(&t->recipe, sqzi_trainer_distilling(t), history);
    return sqzi_trainable_put(&t->trainable, masters, history,
                              t->recipe.distil ? "-distilled" : "-finetuned", writer, error);
}

/* What the file would compute without its rounding, which a level's arithmetic takes another way
 * here and there: the tolerance of its reference vectors. */
static sqz_status compare_with_masters(const sqz_trainer *t, sqzi_references *references,
                                       const char *path, sqz_error *error)
{
    sqzi_gguf_writer *writer = NULL;
    sqz_status status = sqzi_gguf_writer_open(allocator_of(t), &writer, error);
    if (status == SQZ_OK) status = sqzi_trainer_put(t, true, writer, error);
    if (status == SQZ_OK) status = sqzi_references_compare_with(references, writer, path, error);
    sqzi_gguf_writer_close(writer);
    return status;
}

/* By how much a head makes a difference of hidden states larger: matrix by matrix the length of the
 * longest row. */
static double gain(const sqz_trainer *t)
{
    const sqzi_parameters *parameters = &t->trainable.parameters;
    double gain = 1;
    for (uint32_t i = 0; i < parameters->n; i++) {
        const sqzi_parameter *p = &parameters->list[i];
        const bool of_head = p->entry.part == SQZI_PART_HEAD || p->entry.part == SQZI_PART_POOLER;
        double longest = 1;
        for (size_t r = 0; p->trained && of_head && p->entry.columns && r < p->entry.rows; r++) {
            double squares = 0;
            for (size_t k = 0; k < p->entry.columns; k++) {
                const double w = (double)p->master[r * p->entry.columns + k];
                squares += w * w;
            }
            longest = fmax(longest, sqrt(squares));
        }
        gain *= longest;
    }
    return gain;
}

/* By how much levels differ where integers are multiplied, the base says; none where it does not.
 */
static sqz_status find_references(const sqz_trainer *t, sqzi_references *references,
                                  sqz_error *error)
{
    const sqz_model *model = t->trainable.model;
    double tolerance = 0;
    sqz_status status = sqzi_gguf_get_f64(model->gguf, "sqz.verify.tolerance", false, &tolerance,
                                          error);
    const bool integers = t->trainable.parameters.multiplies_integers;
    references->allocator = allocator_of(t);
    if (status != SQZ_OK || (integers && !(tolerance > 0))) return status;
    status = sqzi_references_invent(references, allocator_of(t), &model->info, error);
    if (integers) references->source_tolerance = tolerance * gain(t);
    return status;
}

sqz_status sqz_trainer_write(const sqz_trainer *t, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {0};
    FAIL_IF(!t || !path, SQZ_EINVAL, 0, "sqz_trainer_write: an argument is NULL");
    TRY(sqzi_gguf_writer_open(allocator_of(t), &writer, error));
    TRY(sqzi_trainer_put(t, false, writer, error));
    TRY(find_references(t, &references, error));
    if (t->trainable.bits) TRY(compare_with_masters(t, &references, path, error));
    TRY(sqzi_rewrite_write(writer, &references, path, error));
fail:
    sqzi_references_discard(&references);
    sqzi_gguf_writer_close(writer);
    return status;
}
