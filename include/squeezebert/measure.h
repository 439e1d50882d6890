/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring a model on a data set of one's own, and two models on the same one. In
 * libsqueezebert-full.
 *
 *     sqz_predict(model, dataset, NULL, &predictions, &error);
 *     sqz_measure(predictions, NULL, &measures, &error);
 *     for (k = 0; k < measures.n_figures; k++) show(&measures.figures[k]);
 */
#ifndef SQUEEZEBERT_MEASURE_H
#define SQUEEZEBERT_MEASURE_H

#include <squeezebert/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A model's answers to all examples of a data set. */
typedef struct sqz_predictions sqz_predictions;

/* Zero-initialise, or pass NULL, for the defaults.
 *
 *   task      how texts are read
 *   prompt, second_prompt   of embeddings, as sqz_embed_text_options has them; of SQZ_LABELS_NONE
 *             second_prompt goes before every text but the first
 *   batch     of SQZ_LABELS_NONE: examples, in their order, among whose texts each one's is looked
 *             for; 0 = 32
 *   scale     of the loss of SQZ_LABELS_NONE, as in training; 0 = 20
 *   progress  called now and then with the examples done and in all; a return other than 0 stops
 *             with SQZ_ECANCELLED. May be NULL
 */
typedef struct sqz_predict_options {
    const sqz_task_options *task;
    const char *prompt, *second_prompt;
    uint32_t batch;
    double scale;
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
    uint64_t reserved[4];
} sqz_predict_options;

/* Answer every example. Outputs are classes by their names, where the model has each name of the
 * data set once; else class k of the data set is the model's logit k: open it with the model's
 * labels as options.classes.
 *
 *   ONE     the class of the largest logit; one logit alone is refused
 *   MANY    the classes whose sigmoid is at least 0.5
 *   VALUE   the one output; of pairs, by a model without a head, the cosine of their embeddings
 *   WORDS   of each word the class at its first piece; of one that has no piece, or was cut off,
 *           the class "O", or class 0 where there is none of that name
 *   NONE    the rank of text2 among the texts 2 and the negatives of the batch, by their cosine to
 *           `text`, 1 the first; texts that are the same as text2 are left out
 *
 * The data set and the model outlive the predictions' making, the data set the predictions.
 * Memory: 4 bytes a class and example.
 * SQZ_EINVAL: the model's head, problem or number of classes is not the data set's. What an example
 * fails with, as SQZ_ETOOLONG with SQZ_LONG_ERROR: the text says its line. As sqz_classify,
 * sqz_find_entities. */
SQZ_API SQZ_NODISCARD sqz_status sqz_predict(const sqz_model *model, const sqz_dataset *dataset,
                                             const sqz_predict_options *options,
                                             sqz_predictions **predictions, sqz_error *error);
SQZ_API void sqz_predictions_close(sqz_predictions *predictions);

/* One example's answer.
 *
 *   label     ONE: the class
 *   labels    [n_labels] MANY: the classes, rising; WORDS: of each word
 *   value     VALUE; NONE: the rank
 *   scores    [K] ONE: softmax; MANY: sigmoid; else NULL
 *   right     1: as the data set has it: class, all classes, the classes of all words; NONE: it is
 *             the first; VALUE: 0
 *   cut       1: the text was cut
 *   refused   1: ONE: the model gives no answer (task.h); label is the best class all the same
 */
typedef struct sqz_answer_of {
    uint32_t label, n_labels;
    const uint32_t *labels;
    double value;
    const float *scores;
    int right, cut, refused;
} sqz_answer_of;
SQZ_API sqz_answer_of sqz_predictions_answer(const sqz_predictions *predictions, size_t i);
/* Examples that were cut. */
SQZ_API size_t sqz_predictions_cut(const sqz_predictions *predictions);

/* Zero-initialise, or pass NULL, for the defaults.
 *
 *   resamples   of the bootstrap; 0 = 1000
 *   point       1: no intervals, resamples is not looked at
 *   confidence  of the intervals; 0 = 0.95
 *   seed        of the resamples
 */
typedef struct sqz_measure_options {
    uint32_t resamples;
    int point;
    double confidence;
    uint64_t seed;
    uint64_t reserved[4];
} sqz_measure_options;

/* A figure with its interval, the percentiles of the figures of resamples: as many examples, drawn
 * with replacement. has_interval 0: none was asked for, or in over 1 of 20 resamples there was no
 * figure. */
typedef struct sqz_figure {
    const char *name; /* static storage */
    sqz_metric metric;
    int has_interval;
    double low, high;
} sqz_figure;

/* Of one class, or kind of entity: name until the data set is closed; support: how often it
 * occurs. */
typedef struct sqz_class_figures {
    const char *name;
    uint64_t support, predicted, right;
    sqz_metric precision, recall, f1;
} sqz_class_figures;

/* All figures. Pointers are the predictions', until the next call.
 *
 *   ONE     accuracy; macro_f1; mcc, Matthews' correlation; ece, the expected calibration error
 *           sum over 15 bins of equal width of n_bin / n |accuracy - mean score|
 *   MANY    accuracy, of whole sets; micro_f1; macro_f1; ece, over every class of every example
 *   VALUE   pearson; spearman; mae; mse, of cosines neither of the last two
 *   NONE    accuracy, of first ranks; mrr, the mean of 1 / rank; loss, the mean cross entropy that
 *           training by SQZ_LOSS_RANKING has
 *   WORDS   f1, precision, recall of entities, as seqeval has them: right where kind, first and
 *           last word are; accuracy, of words
 *
 * Of ONE the best class counts, whether the model refuses the text or not; n_answered of the n are
 * those that it does not, n_answered_right of these are right.
 *
 * macro_f1 is the mean over the classes that occur or are predicted. confusion [K, K], ONE: counts
 * of true class (row) and predicted class. */
typedef struct sqz_measures {
    size_t n;
    uint32_t n_figures, n_classes;
    sqz_figure figures[SQZ_MAX_METRICS];
    const sqz_class_figures *classes;
    const uint64_t *confusion;
    size_t n_answered, n_answered_right;
    uint64_t reserved[4];
} sqz_measures;
/* Name of figure k of a kind, as in the table; NULL from the last on. */
SQZ_API const char *sqz_figure_name(sqz_label_kind kind, uint32_t k);
/* 1: the less of figure k of a kind the better, as of ece, mae, mse and loss; else 0. */
SQZ_API int sqz_figure_less_is_better(sqz_label_kind kind, uint32_t k);
/* Cost: resamples times the examples. SQZ_EINVAL: confidence is not between 0 and 1. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_measure(sqz_predictions *predictions,
                                             const sqz_measure_options *options,
                                             sqz_measures *measures, sqz_error *error);

/* Two models' answers to one data set, example by example.
 *
 *   figures      other - base, each with the interval of the differences in paired resamples
 *   only_base    examples that base alone has right, only_other those that other alone has right;
 *                no_pairs 1 (VALUE): there is no right and wrong
 *   p            McNemar's exact test: the odds of at least such a split of these by chance
 */
typedef struct sqz_comparison {
    size_t n;
    uint32_t n_figures;
    sqz_figure figures[SQZ_MAX_METRICS];
    int no_pairs;
    uint64_t only_base, only_other;
    double p;
    uint64_t reserved[4];
} sqz_comparison;
/* SQZ_EINVAL: they are of two data sets. SQZ_ENOMEM. */
SQZ_API SQZ_NODISCARD sqz_status sqz_compare_predictions(const sqz_predictions *base,
                                                         const sqz_predictions *other,
                                                         const sqz_measure_options *options,
                                                         sqz_comparison *comparison,
                                                         sqz_error *error);

#ifdef __cplusplus
}
#endif

#endif
