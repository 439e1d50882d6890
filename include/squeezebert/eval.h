/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: metrics, the GLUE tasks' files, and a model's figures on them. In
 * libsqueezebert-full. */
#ifndef SQUEEZEBERT_EVAL_H
#define SQUEEZEBERT_EVAL_H

#include <squeezebert/data.h>
#include <squeezebert/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- metrics: equal to scikit-learn's and SciPy's to 1e-12 ---- */

/* A figure, or why there is none (JSON has no NaN): value counts only where reason is NULL. */
typedef struct sqz_metric {
    double value;
    const char *reason; /* static storage */
} sqz_metric;

/* Classes [n] of n examples; n = 0 has no figure. */
SQZ_API sqz_metric sqz_accuracy(const uint32_t *predicted, const uint32_t *truth, size_t n);
/* F1 of one class; 0 where nothing is predicted or nothing is true of it. */
SQZ_API sqz_metric sqz_f1(const uint32_t *predicted, const uint32_t *truth, size_t n,
                          uint32_t positive);
/* Matthews' correlation, over more than two classes Gorodkin's R_K; 0 where its denominator is 0.
 * Classes < n_classes. Cost: n · n_classes. */
SQZ_API sqz_metric sqz_matthews(const uint32_t *predicted, const uint32_t *truth, size_t n,
                                uint32_t n_classes);
/* No figure for fewer than two numbers, a constant, or a NaN or infinity. */
SQZ_API sqz_metric sqz_pearson(const double *x, const double *y, size_t n);
/* Pearson's correlation of the ranks, equal numbers sharing the average of theirs. SQZ_ENOMEM: no
 * memory for the ranks. */
SQZ_API SQZ_NODISCARD sqz_status sqz_spearman(const sqz_context *context, const double *x,
                                              const double *y, size_t n, sqz_metric *metric,
                                              sqz_error *error);

/* ---- GLUE ---- */

typedef enum sqz_glue_task {
    SQZ_GLUE_COLA,
    SQZ_GLUE_SST2,
    SQZ_GLUE_MRPC,
    SQZ_GLUE_QQP,
    SQZ_GLUE_STSB,
    SQZ_GLUE_MNLI,
    SQZ_GLUE_QNLI,
    SQZ_GLUE_RTE,
    SQZ_GLUE_WNLI,
    SQZ_GLUE_AX
} sqz_glue_task;

/* "cola" .. "ax"; "stsb" and "sts-b" both, case does not matter. -1: no such task. Name NULL out of
 * range. */
SQZ_API int sqz_glue_find(const char *name);
SQZ_API const char *sqz_glue_name(sqz_glue_task task);

/* Rows of one file.
 *
 *   label     class number in the order of sqz_glue_class (all tasks but STS-B)
 *   score     STS-B's 0..5
 *   line      of the file, from 1
 *   id        what the file calls it, in its column idx, index or id; bytes NULL where it has none
 */
typedef struct sqz_glue_row {
    sqz_input input;
    uint32_t label;
    double score;
    uint64_t line;
    sqz_text id;
    uint64_t reserved[2];
} sqz_glue_row;
typedef struct sqz_glue sqz_glue;

/* Zero-initialise, or pass NULL, for the defaults.
 *
 *   quotes  what `"` means in a tsv; AUTO: nothing in a published file (its first column is index,
 *           id or Quality), else as sqz_quotes says
 */
typedef struct sqz_glue_options {
    sqz_quotes quotes;
    uint64_t reserved[4];
} sqz_glue_options;

/* Class k of a task as the files write it ("entailment", "0"); NULL from the last on, and for
 * STS-B. */
SQZ_API const char *sqz_glue_class(sqz_glue_task task, uint32_t k);

/* Read folder/SPLIT.tsv, .csv or .jsonl, the first of them that is there; `folder` may also be the
 * file itself. SPLIT is "dev" (also found as "validation"), "train", "test"; MNLI's are
 * dev_matched, dev_mismatched, test_matched, test_mismatched; AX has one file, AX.tsv, and no
 * splits: NULL will do. Lines by the rules of data.h.
 *
 * Columns are found by their names, in any case and order: those of the published files, and
 * sentence or text; sentence1 and sentence2, premise and hypothesis, question1 and question2,
 * question and sentence; label, gold_label, is_duplicate, Quality, score; idx, index, id. CoLA's
 * published files have no header and are known by that. Any other table is refused.
 *
 * A label is a class's name in one of its usual spellings (negative, NEG; not_entailment,
 * not-entailment; ...), or its number where the published files hold numbers or a column idx shows
 * that the data set's own numbering is meant (0 entailment, 1 neutral, 2 contradiction). Without a
 * column of labels, or with -1 in all of it, the rows are unlabelled.
 * Memory: the texts and about 120 bytes a row.
 *
 * SQZ_EIO: no such file. SQZ_EFORMAT: the columns are not the task's, a row is too short or too
 * long (QQP's short ones are skipped and counted, as are MNLI's with the gold label '-'), or a
 * label is none of the task's; the text says the line, which is also error.offset. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_glue_open(const sqz_context *context, sqz_glue_task task,
                                               const char *folder, const char *split,
                                               const sqz_glue_options *options, sqz_glue **glue,
                                               sqz_error *error);
SQZ_API void sqz_glue_close(sqz_glue *glue);
/* The rows [n], with their texts until the file is closed. */
SQZ_API const sqz_glue_row *sqz_glue_rows(const sqz_glue *glue, size_t *n);
/* 1 where the rows have labels. */
SQZ_API int sqz_glue_labelled(const sqz_glue *glue);
/* Rows that were left out, as sqz_glue_open says. */
SQZ_API size_t sqz_glue_skipped(const sqz_glue *glue);
/* Blank lines. */
SQZ_API uint64_t sqz_glue_blank(const sqz_glue *glue);
/* Rows that are not UTF-8 throughout (sqz_rows_ill_formed). */
SQZ_API uint64_t sqz_glue_ill_formed(const sqz_glue *glue);
/* The file that was read. */
SQZ_API const char *sqz_glue_path(const sqz_glue *glue);

/* ---- a model on a task ---- */

/* One example and the model's answer.
 *
 *   row        as read, number `index` from 0 among those that count
 *   label      the class that is predicted, in the order of sqz_glue_class
 *   logits     [n_logits] in that order too; of STS-B the one output
 *   score      STS-B: the output, or with options.cosine the cosine
 *   truncated  1 where the example was cut
 */
typedef struct sqz_prediction {
    const sqz_glue_row *row;
    uint64_t index;
    uint32_t label;
    const float *logits;
    uint32_t n_logits;
    double score;
    int truncated;
} sqz_prediction;

/* Zero-initialise, or pass NULL, for the defaults.
 *
 *   split    NULL = "dev" ("dev_matched" for MNLI)
 *   cosine   1: STS-B by the cosine of the two sentences' embeddings, no head needed
 *   prompt, second_prompt   with cosine: before the first text and the second, as
 *            sqz_embed_text_options has them
 *   classes  [K] the task's class names in the order of the model's logits, for a model whose own
 *            names do not tell; NULL = from the model. Names are matched as labels of a file are
 *            (sqz_glue_open). A model that has numbers for names (LABEL_0, 0) stands in the task's
 *            order where the task's files hold numbers; of other tasks its order is unknown
 *   task     how texts are read; NULL = defaults
 *   progress called now and then with the rows done and in all; a return other than 0 stops with
 *       SQZ_ECANCELLED. May be NULL
 *   glue     how the file is read
 *   prediction called with every example, in order. May be NULL
 *   unlabelled 1: answers alone, as of a test file; labels are not looked at and there is no metric
 */
typedef struct sqz_eval_options {
    const char *split;
    int cosine;
    const char *const *classes;
    uint32_t n_classes;
    const sqz_task_options *task;
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
    sqz_glue_options glue;
    void (*prediction)(void *user, const sqz_prediction *prediction);
    const char *prompt, *second_prompt;
    int unlabelled;
    uint64_t reserved[1];
} sqz_eval_options;

typedef struct sqz_named_metric {
    const char *name;
    sqz_metric metric;
} sqz_named_metric;

enum { SQZ_MAX_METRICS = 8 };
typedef struct sqz_eval_report {
    const char *task;   /* static storage, as the metrics' names are */
    size_t n;           /* examples that count */
    size_t n_skipped;   /* rows of QQP that are too short, of MNLI without a gold label */
    size_t n_truncated; /* examples that were cut */
    uint64_t n_blank;   /* lines */
    uint64_t n_ill_formed; /* rows that are not UTF-8 */
    uint32_t n_metrics;
    sqz_named_metric metrics[SQZ_MAX_METRICS];
    uint64_t reserved[4];
} sqz_eval_report;

/* Read folder/SPLIT, answer every row, and compare with its label.
 *
 *   CoLA            matthews
 *   STS-B           pearson, spearman
 *   MRPC, QQP       accuracy, f1 of class 1
 *   AX              rk, Matthews' correlation over three classes
 *   else            accuracy
 *
 * Uses the context's threads. Cost: that of the task over all rows. Memory: the file's rows, and
 * their answers.
 * SQZ_EINVAL: the model's head or classes do not fit the task (the text says which classes it has
 * and how to name them), a prompt is given without cosine, or the file has no labels and
 * options.unlabelled is 0. SQZ_EFORMAT: it has no example. Else as sqz_glue_open. */
SQZ_API SQZ_NODISCARD sqz_status sqz_evaluate(const sqz_model *model, sqz_glue_task task,
                                              const char *folder, const sqz_eval_options *options,
                                              sqz_eval_report *report, sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
