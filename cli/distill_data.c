/* SPDX-License-Identifier: Apache-2.0 */
/* What a distillation learns on: plain texts, or labelled rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "distill.h"
#include "text_file.h"

cli_teaching_options cli_teaching = {.temperature = NAN, .minutes = NAN};

enum {
    HELD_OUT = 500, /* texts, of a tenth at most */
    LEAST_TEXTS = 11,
    MAX_PIECES = 128,
    SENTENCE_PIECES = 6 /* at least, special ones included */
};

/* Both models read what is learned on, each in its own pieces where vocabularies are two. */
static uint32_t length_of(const cli_distill_job *j)
{
    const uint32_t a = sqz_model_get_info(j->student)->max_positions,
                   b = sqz_model_get_info(j->teacher)->max_positions,
                   most = a < b || j->apart ? a : b,
                   length = cli_tuning.max_length ? cli_tuning.max_length
                            : most < MAX_PIECES   ? most
                                                  : MAX_PIECES;
    if (length > most)
        cli_die(CLI_USAGE, "--max-length %u: %u pieces at most can be read", length, most);
    return length;
}

static void open_texts(cli_distill_job *j)
{
    sqz_error error = {0};
    cli_text_file file = cli_open_text_file(cli_teaching.texts_path);
    size_t n = file.read.n;
    sqz_text *windows = NULL;
    const uint64_t most = cli_teaching.max_pieces
                              ? cli_teaching.max_pieces / SENTENCE_PIECES + 10 * HELD_OUT
                              : 0;
    const sqz_texts_options o = {.whole = cli_teaching.whole_texts || cli_teaching.windows,
                                 .most = (uint32_t)most,
                                 .seed = cli_tuning.seed};
    if (cli_teaching.windows)
        windows = cli_cut_windows(file.texts, n, sqz_model_embed_tokenizer(j->student),
                                  length_of(j), &n);
    cli_check(sqz_dataset_open_texts(cli_context(), cli_teaching.texts_path,
                                     windows ? windows : file.texts, n, &o, &j->texts, &error),
              &error);
    free(windows);
    cli_free_text_file(&file);
    (void)sqz_dataset_examples(j->texts, &j->n);
}

static void hold_out(cli_distill_job *j)
{
    sqz_error error = {0};
    const sqz_example *all = sqz_dataset_examples(j->texts, &j->n);
    const double usual = j->n > 10 * HELD_OUT ? (double)HELD_OUT / (double)j->n : 0.1;
    const double share = isnan(cli_tuning.holdout) ? usual : cli_tuning.holdout;
    j->rows = cli_allocate(NULL, j->n * sizeof *j->rows);
    cli_check(sqz_dataset_split(j->texts, share, 0, j->rows, &j->n_learn, &error), &error);
    j->watch.n_texts = j->n - j->n_learn;
    if (j->watch.n_texts < LEAST_TEXTS)
        cli_die(CLI_BAD_FILE, "%s: %zu texts are held out of %zu, at least %d are needed",
                cli_teaching.texts_path, j->watch.n_texts, j->n, LEAST_TEXTS);
    j->watch.texts = cli_allocate(NULL, j->watch.n_texts * sizeof *j->watch.texts);
    for (size_t i = 0; i < j->watch.n_texts; i++)
        j->watch.texts[i] = all[j->rows[j->n_learn + i]].input.text;
}

/* What the teacher reads of examples that the student's tokenizer has cut into pieces. */
static void tokenize_teacher(const cli_distill_job *j, sqz_dataset *examples,
                             const sqz_tokenizer *tokenizer)
{
    sqz_error error = {0};
    if (!j->apart) return;
    cli_check(sqz_dataset_tokenize_teacher(examples, tokenizer,
                                           sqz_model_get_info(j->teacher)->max_positions, &error),
              &error);
}

static void tokenize(const cli_distill_job *j)
{
    sqz_error error = {0};
    cli_check(sqz_dataset_tokenize(j->texts, sqz_model_embed_tokenizer(j->student), length_of(j),
                                   &error),
              &error);
    tokenize_teacher(j, j->texts, sqz_model_embed_tokenizer(j->teacher));
}

static void open_batches(cli_distill_job *j)
{
    sqz_error error = {0};
    const sqz_batches_options o = {.rows = j->rows,
                                   .n_rows = j->n_learn,
                                   .batch = cli_tuning.batch,
                                   .seed = cli_tuning.seed,
                                   .most_pieces = cli_teaching.max_pieces};
    cli_check(sqz_batches_open(j->texts, &o, &j->base.batches, &error), &error);
}

/* ---- labelled rows ---- */

static bool has_class(const sqz_model *model, const char *name)
{
    const uint32_t n = sqz_model_get_info(model)->n_labels;
    for (uint32_t k = 0; k < n; k++)
        if (strcmp(sqz_model_label(model, k), name) == 0) return true;
    return false;
}

/* The teacher has the data's classes, in any order. */
static void check_classes(const cli_distill_job *j)
{
    const uint32_t n = sqz_dataset_n_classes(j->base.train);
    const sqz_model_info *info = sqz_model_get_info(j->teacher);
    if (!n || !info->labels_named) return;
    if (info->n_labels != n)
        cli_die(CLI_BAD_FILE, "%s has %u classes, the data %u", cli_teaching.teacher_path,
                info->n_labels, n);
    for (uint32_t k = 0; k < n; k++)
        if (!has_class(j->teacher, sqz_dataset_class(j->base.train, k)))
            cli_die(CLI_BAD_FILE, "%s has no class '%s', which the data have",
                    cli_teaching.teacher_path, sqz_dataset_class(j->base.train, k));
}

static void open_labelled(cli_distill_job *j)
{
    size_t n;
    cli_tuning.max_length = length_of(j);
    if (sqz_model_get_info(j->teacher)->labels_named) j->base.named = j->teacher;
    cli_job_open_data(&j->base, cli_teaching.student_path);
    check_classes(j);
    tokenize_teacher(j, j->base.train, sqz_model_tokenizer(j->teacher));
    if (cli_teaching.texts_path) {
        open_texts(j);
        tokenize(j);
        j->base.texts = j->texts;
        j->base.most_pieces = cli_teaching.max_pieces;
    }
    cli_job_open_batches(&j->base);
    j->watch.labelled = &j->base.watch;
    const sqz_example *dev = sqz_dataset_examples(j->base.watch.dev, &n);
    j->watch.n_texts = n < HELD_OUT ? n : HELD_OUT;
    j->watch.texts = cli_allocate(NULL, j->watch.n_texts * sizeof *j->watch.texts);
    for (size_t i = 0; i < j->watch.n_texts; i++) j->watch.texts[i] = dev[i].input.text;
}

void cli_distill_open_data(cli_distill_job *j)
{
    j->watch.teacher = j->teacher;
    if (j->labelled) {
        open_labelled(j);
        return;
    }
    open_texts(j);
    hold_out(j);
    tokenize(j);
    open_batches(j);
}
