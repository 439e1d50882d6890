/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained on, looked at before anything is. */
#include <string.h>

#include "base/error.h"
#include "train/trainer.h"

typedef struct look {
    const sqz_train_data *data;
    const sqz_train_recipe *recipe;
    const sqzi_loss *loss;
    const sqz_model_info *info, *teacher;
    sqzi_sha256 hash;
} look;

static uint32_t texts_of(const look *l)
{
    return l->loss->texts;
}

static sqz_status check_text(const sqz_model_info *info, const sqz_train_example *e, uint32_t row,
                             sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(SQZI_RESERVED(e, "sqz_train_example", error));
    FAIL_IF(!e->ids || e->n_tokens == 0, SQZ_EINVAL, row, "example %u has no pieces", row);
    FAIL_IF(e->n_tokens > info->max_positions, SQZ_ETOOLONG, row,
            "example %u has %u pieces, the model takes %u", row, e->n_tokens, info->max_positions);
    FAIL_IF(e->skip >= e->n_tokens, SQZ_EINVAL, row,
            "pooling leaves out %u of the %u pieces of example %u", e->skip, e->n_tokens, row);
    for (uint32_t t = 0; t < e->n_tokens; t++) {
        FAIL_IF(e->ids[t] >= info->vocabulary, SQZ_ETOKEN, row,
                "piece %u of example %u is %u, the vocabulary has %u", t, row, e->ids[t],
                info->vocabulary);
        FAIL_IF(e->types && info->n_token_types && e->types[t] >= info->n_token_types, SQZ_ETOKEN,
                row, "the type of piece %u of example %u is %u, the model has %u", t, row,
                (unsigned)e->types[t], info->n_token_types);
    }
fail:
    return status;
}

static void hash_number(look *l, uint32_t number)
{
    sqzi_sha256_update(&l->hash, &number, sizeof number);
}

static void hash_text(look *l, const sqz_train_example *e)
{
    hash_number(l, e->n_tokens);
    hash_number(l, e->types != NULL);
    sqzi_sha256_update(&l->hash, e->ids, e->n_tokens * sizeof *e->ids);
    if (e->types) sqzi_sha256_update(&l->hash, e->types, e->n_tokens);
    if (l->recipe->loss || e->skip) hash_number(l, e->skip);
}

static void hash_label(look *l, const sqz_train_example *e)
{
    if (!l->loss->kind->check) return;
    if (e->unlabelled) hash_number(l, UINT32_MAX);
    else if (l->loss->tokens)
        sqzi_sha256_update(&l->hash, e->token_labels, e->n_tokens * sizeof *e->token_labels);
    else if (!l->recipe->loss && l->recipe->problem == SQZ_SINGLE_LABEL) hash_number(l, e->label);
    else sqzi_sha256_update(&l->hash, e->values, l->loss->classes * sizeof *e->values);
}

/* What a teacher of another vocabulary reads. */
static sqz_status look_at_teachers(look *l, const sqz_train_example *e, uint32_t row,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF(!e->teachers != !l->data->examples->teachers || (e->teachers && !l->teacher),
            SQZ_EINVAL, row,
            "example %u: pieces of a teacher's own are of a distillation, and of all of its "
            "examples or none",
            row);
    if (!e->teachers) return SQZ_OK;
    status = check_text(l->teacher, e->teachers, row, error);
    if (status == SQZ_OK) hash_text(l, e->teachers);
    else if (error) sqzi_error_prefix(error, "as the teacher reads it");
fail:
    return status;
}

static sqz_status look_at_example(look *l, uint32_t row, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_train_example *texts = l->data->examples + (size_t)row * texts_of(l);
    for (uint32_t t = 0; t < texts_of(l); t++) {
        TRY(check_text(l->info, &texts[t], row, error));
        hash_text(l, &texts[t]);
    }
    TRY(look_at_teachers(l, texts, row, error));
    FAIL_IF(texts->unlabelled && !l->recipe->distil, SQZ_EINVAL, row,
            "example %u has no label, and there is no teacher to learn it of", row);
    if (l->loss->kind->check && !texts->unlabelled)
        TRY(l->loss->kind->check(l->loss, texts, row, error));
    hash_label(l, texts);
fail:
    return status;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The parts that a batch is run in. */
static sqz_status measure_parts(const look *l, const uint32_t *rows, uint32_t n,
                                sqzi_data_facts *facts, sqz_error *error)
{
    sqzi_gradient_sizes *sizes = &facts->sizes;
    uint64_t of_batch = 0;
    const uint32_t parts = l->recipe->accumulate;
    const size_t texts = texts_of(l);
    for (uint32_t p = 0; p < parts; p++) {
        const sqzi_range share = sqzi_share(n, p, parts);
        uint64_t tokens = 0, teachers = 0;
        for (size_t i = share.begin * texts; i < share.end * texts; i++) {
            const sqz_train_example *e = &l->data->examples[rows[i / texts] * texts + i % texts];
            tokens += e->n_tokens;
            sizes->max_length = larger(sizes->max_length, e->n_tokens);
            if (!e->teachers) continue;
            teachers += e->teachers->n_tokens;
            facts->teacher_length = larger(facts->teacher_length, e->teachers->n_tokens);
        }
        if (tokens > 1u << 28 || teachers > 1u << 28)
            return sqzi_fail(error, SQZ_ELIMIT, rows[share.begin],
                             "a batch has %llu pieces, at most %u are possible: make it smaller, "
                             "or accumulate over more parts",
                             (unsigned long long)(tokens > teachers ? tokens : teachers), 1u << 28);
        of_batch += tokens;
        sizes->max_tokens = larger(sizes->max_tokens, (uint32_t)tokens);
        facts->teacher_tokens = larger(facts->teacher_tokens, (uint32_t)teachers);
        sizes->max_sequences = larger(sizes->max_sequences,
                                      (uint32_t)((share.end - share.begin) * texts));
    }
    if (of_batch > facts->max_batch_tokens) facts->max_batch_tokens = of_batch;
    return SQZ_OK;
}

static sqz_status look_at_batch(look *l, uint32_t epoch, uint32_t i, sqzi_data_facts *facts,
                                sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t *rows = NULL;
    uint32_t n = 0;
    TRY(l->data->batch(l->data->user, epoch, i, &rows, &n, error));
    FAIL_IF(!rows || n == 0, SQZ_EINVAL, i, "batch %u of epoch %u is empty", i, epoch + 1);
    for (uint32_t j = 0; j < n; j++)
        FAIL_IF(rows[j] >= l->data->n_examples, SQZ_EINVAL, rows[j],
                "batch %u of epoch %u holds example %u, there are %u", i, epoch + 1, rows[j],
                l->data->n_examples);
    hash_number(l, n);
    sqzi_sha256_update(&l->hash, rows, n * sizeof *rows);
    facts->max_examples = larger(facts->max_examples, n);
    TRY(measure_parts(l, rows, n, facts, error));
fail:
    return status;
}

sqz_status sqzi_trainer_check_data(const sqz_train_data *data, const sqz_train_recipe *recipe,
                                   const sqzi_loss *loss, const sqz_model_info *info,
                                   const sqz_model_info *teacher, sqzi_data_facts *facts,
                                   sqz_error *error)
{
    sqz_status status = SQZ_OK;
    look l = {.data = data, .recipe = recipe, .loss = loss, .info = info, .teacher = teacher};
    *facts = (sqzi_data_facts){
        .sizes = {1, 1, 1, recipe->recompute != 0, recipe->precision == SQZ_PRECISION_BF16}};
    sqzi_sha256_init(&l.hash);
    for (uint32_t k = 0; k < data->n_labels; k++)
        sqzi_sha256_update(&l.hash, data->labels[k], strlen(data->labels[k]) + 1);
    for (uint32_t row = 0; row < data->n_examples; row++) TRY(look_at_example(&l, row, error));
    for (uint32_t epoch = 0; epoch < recipe->epochs; epoch++)
        for (uint32_t i = 0; i < data->n_batches; i++)
            TRY(look_at_batch(&l, epoch, i, facts, error));
    sqzi_sha256_final(&l.hash, facts->sha256);
fail:
    return status;
}
