/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of predictions, and figures of examples that count a number of times each: what a
 * bootstrap draws. */
#ifndef SQZI_PREDICTIONS_H
#define SQZI_PREDICTIONS_H

#include <squeezebert/measure.h>

#include "eval/dataset_reader.h"

/* Entities of one example (WORDS): those that are there, that are predicted, that are both; and its
 * words that are right. */
typedef struct sqzi_entity_counts {
    uint32_t support, predicted, right, words_right;
} sqzi_entity_counts;

struct sqz_predictions {
    const sqz_dataset *dataset;
    const sqz_example *examples;
    const sqz_allocator *allocator;
    uint32_t n, n_classes;
    size_t bytes, n_cut;
    uint32_t *labels;          /* ONE [n]; WORDS, one behind the other */
    size_t *first;             /* MANY, WORDS [n + 1]: where an example's labels begin */
    double *values;            /* VALUE [n]; NONE [n]: ranks, from 1 */
    double *losses;            /* NONE [n] */
    bool cosines;              /* VALUE: of pairs, by a model of embeddings */
    float *scores;             /* ONE, MANY [n, K] */
    unsigned char *is_cut;     /* [n] */
    unsigned char *is_refused; /* [n] */
    sqzi_buffer set_labels;    /* MANY: uint32_t */
    sqzi_buffer entities;      /* WORDS: sqzi_entity_counts [n] */
    sqzi_buffer kinds;         /* WORDS: sqz_class_figures; ONE, MANY: of the classes */
    sqzi_buffer confusion;
};

/* Answers of one class each that somebody else has computed: logits [n, K], over the temperature
 * already, and whether a row is refused [n]. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_predictions_of_logits(const sqz_dataset *dataset, const float *logits,
                                                    const unsigned char *refused,
                                                    sqz_predictions **predictions,
                                                    sqz_error *error);

enum { SQZI_FIGURES = 4 };
/* Figures of a kind, in the order of the header's table, NULL behind the last where there are fewer
 * than SQZI_FIGURES. */
const char *const *sqzi_figure_names(sqz_label_kind kind);
uint32_t sqzi_count_figures(sqz_label_kind kind);

/* What is sorted or counted once for all resamples. */
typedef struct sqzi_tally sqzi_tally;
SQZ_NODISCARD sqz_status sqzi_tally_open(const sqz_predictions *predictions, sqzi_tally **tally,
                                         sqz_error *error);
void sqzi_tally_close(sqzi_tally *tally);
/* The figures of examples that count weight[i] times each. */
void sqzi_tally_figures(sqzi_tally *tally, const uint32_t *weight,
                        sqz_metric figures[SQZI_FIGURES]);

/* ---- interval.c: resamples and what they say ---- */

/*   n      resamples; 0: none
 *   tail   share of them outside of the interval at each end */
typedef struct sqzi_resamples {
    uint32_t n;
    double tail;
    uint64_t seed;
} sqzi_resamples;
/* options NULL: the defaults. SQZ_EINVAL: as sqz_measure. */
SQZ_NODISCARD sqz_status sqzi_resamples_of(const sqz_measure_options *options,
                                           sqzi_resamples *resamples, sqz_error *error);
/* The interval of a figure of which the resamples gave values [n], which are sorted. */
void sqzi_put_interval(const sqzi_resamples *resamples, double *values, uint32_t n,
                       sqz_figure *figure);

/* ---- evaluate.c ---- */

/* The task's figures of n rows: predicted and truth are classes, of STS-B scores. Metrics are
 * added to the report. SQZ_ENOMEM. */
SQZ_NODISCARD sqz_status sqzi_glue_figures(const sqz_context *context, sqz_glue_task task,
                                           const void *predicted, const void *truth, size_t n,
                                           sqz_eval_report *report, sqz_error *error);

/* ---- predict_embed.c ---- */

bool sqzi_predict_by_embeddings(const sqz_dataset *dataset, const sqz_model *model);
SQZ_NODISCARD sqz_status sqzi_predict_embeddings(sqz_predictions *predictions,
                                                 const sqz_model *model,
                                                 const sqz_predict_options *options, sqz_task *task,
                                                 sqz_error *error);

/* ---- entity_counts.c ---- */

/* Count entities of each example into predictions->entities and of each kind into ->kinds. */
SQZ_NODISCARD sqz_status sqzi_count_entities(sqz_predictions *predictions, sqz_error *error);

#endif
