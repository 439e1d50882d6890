/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the bench share. One row is one model, shape and number of threads: it is
 * measured, then written, then forgotten. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <squeezebert/peak.h>

#include "cli.h"

/* A batch to be timed: n sequences of these lengths. */
typedef struct bench_shape {
    uint32_t n, n_tokens, longest;
    const uint32_t *lengths; /* [n] */
    bool uniform;            /* one length was given for all */
    const char *text;        /* the lengths in words: "128", "mixed" */
} bench_shape;

/* What is asked for. */
typedef struct bench_plan {
    uint32_t samples, warm_up, sessions;
    bool stages, profile, roofline;
    const char *text_path; /* of --stages, or NULL: words of the vocabulary */
} bench_plan;

/* Times of one thing, in ms. */
typedef struct bench_times {
    double *ms; /* [samples] as they came, of `run` [sessions][samples]; NULL: not measured */
    double median, mean, deviation, min, p10, p90;
} bench_times;

/* What the machine can do at most with the threads of the context; operations per ns are GOP/s. */
typedef struct bench_peak {
    /* GOP/s by sqz_peak_type; bf16 is at least f32's, which can do its work */
    double arithmetic[3];
    const char *instruction[3];
    /* GB/s of reading much memory, and of reading as many bytes as the model's weights again and
     * again */
    double memory, weights;
    uint64_t memory_bytes, weight_bytes;
} bench_peak;

typedef struct bench_row {
    const sqz_model_info *info;
    const char *path, *type; /* "f32", "bf16", "s8": of most bytes of the blocks' weights */
    const bench_shape *shape;
    const bench_plan *plan;
    uint32_t n_threads;
    /* ids to logits, or to hidden states where there is no head */
    bench_times run;
    /* --stages: text to ids, ids to hidden states, hidden states to logits, text to logits */
    bench_times tokenize, encode, head, whole;
    sqz_profile profile;                      /* --profile, --roofline */
    bench_peak peak;                          /* --roofline */
} bench_row;

/* ---- bench_measure.c ---- */
double bench_now_ms(void);
/* Fills ms' summary; ms keeps its order. */
void bench_summarise(bench_times *times, uint32_t n);
/* The row's times (and profile); model as cli_model gives it. */
void bench_measure(const sqz_model *model, bench_row *row);
void bench_release(bench_row *row);
/* Median ms of each model [n], one sample of every model a round. */
void bench_in_turn(sqz_model *const *models, uint32_t n, uint32_t sequences, uint32_t length,
                   uint32_t samples, double *median);
/* "f32", "bf16", "f16", "s8": see bench_row.type. */
const char *bench_type(const sqz_model *model);

/* ---- bench_text.c: texts with a wanted number of pieces ---- */

/* n texts behind each other, text i of lengths[i] pieces, the two special tokens included; freed by
 * bench_free_texts. Words come from the file (over and over) or are whole words of the vocabulary
 * in random order. Dies where a length cannot be made. */
typedef struct bench_texts {
    sqz_text *texts; /* [n] */
    char *bytes;
} bench_texts;
bench_texts bench_make_texts(const sqz_model *model, const bench_shape *shape, const char *path);
void bench_free_texts(bench_texts *texts);

/* ---- bench_peak.c ---- */
void bench_measure_peak(sqz_context *context, uint64_t weight_bytes, bench_peak *peak);
/* The peak that a model of this type is measured by. */
sqz_peak_type bench_peak_type(const char *type);
/* Operations of the row's products, a multiply-add counting as two, in 10^9. */
double bench_giga_operations(const bench_row *row);
/* The row's share of the peak of its type, 0..1, attention included. */
double bench_share_of_peak(const bench_row *row);

/* ---- bench_types.c ---- */
/* The model at `path` as "f32", "bf16", "f16" or "s8": itself, or a file made for the bench, which
 * bench_remove_file removes again. Dies where neither can be. */
const char *bench_file_of_type(const char *path, const char *type);
void bench_remove_file(void);

/* ---- bench_environment.c ---- */
typedef struct bench_environment {
    char affinity[128], quota[64], governor[64];
} bench_environment;
/* Where and how this process runs; "unknown" for what cannot be read. */
void bench_read_environment(bench_environment *environment);
/* The text behind "NAME: " among the context's facts, "" where there is none. */
const char *bench_fact(const sqz_context *context, const char *name);

/* ---- bench_report.c, bench_stages.c ---- */
typedef enum bench_format { BENCH_TABLE, BENCH_MARKDOWN, BENCH_CSV, BENCH_JSON } bench_format;
/* Write one row; the first one of a table has its head before it. */
void bench_report(const bench_row *row, bench_format format);
/* Under a row: its stages (bench_stages.c). */
void bench_report_stages(const bench_row *row, bench_format format);
void bench_json_stages(const bench_row *row);

#endif
