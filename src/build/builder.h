/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a build. */
#ifndef SQZI_BUILDER_H
#define SQZI_BUILDER_H

#include <squeezebert/build.h>
#include <squeezebert/output.h>

#include "base/error.h"
#include "build/frozen.h"

enum { SQZI_CONFUSIONS = 10, SQZI_SENTENCE = 320 };

/* What is decided on rows held out: `whole`, the model of build->logits, else a strength of the
 * frozen encoder's; accuracies on the rows it was decided on. */
typedef struct sqzi_choice {
    uint32_t strength;
    bool whole;
    double frozen_accuracy, full_accuracy; /* NaN: there is no such model */
    double temperature, threshold;
} sqzi_choice;

struct sqz_build {
    const sqz_allocator *allocator;
    sqz_context *context;
    sqz_dataset *dataset;
    const char *base, *out;
    sqz_build_options options;
    sqz_build_result result;
    const sqz_example *examples;
    uint32_t *rows; /* [n]: those trained on, then those held out */
    uint64_t *counts;
    sqz_near_copy *near_copies;
    uint32_t *fold;                  /* [n] of each row held out */
    unsigned char *is_copy;          /* [n] whether a row held out has a near copy */
    sqz_build_confusion *confusions; /* [SQZI_CONFUSIONS] */
    const char **labels;             /* [n_classes] */
    uint32_t *outputs;               /* [n_classes] of the base, where its head is kept */
    void *block;
    size_t bytes;
    char why[SQZI_SENTENCE];
    bool of_floats;   /* the base; the model is that in int8, unless: */
    bool as_floats;   /* it stays so, to be squeezed */
    sqz_model *model; /* the frozen encoder, or the base whose head is kept */
    sqz_pooling pooling;
    sqzi_features features;
    sqzi_frozen frozen;
    /* [n_held_out, n_classes] of a whole model, all weights trained or all kept; NULL: none */
    float *logits;
    sqzi_choice choice;
    sqz_dataset *held_out;
    sqz_predictions *predictions;
    sqz_output *card; /* under its temporary name; NULL: none */
    sqz_compress_result compressed;
};

/* ---- build_open.c ---- */

/* One of begun's context, base, data set and out, whose options are good and nothing is done. */
SQZ_NODISCARD sqz_status sqzi_build_open(const sqz_build *begun, const sqz_build_options *options,
                                         sqz_build **build, sqz_error *error);
/* The frozen encoder, or the base, is done with. */
void sqzi_build_close_frozen(sqz_build *build);

/* ---- build_make.c ---- */

typedef sqz_status sqzi_build_steps(sqz_build *build, sqz_error *error);
/* Whether the files can be written, before anything is computed; the steps, sqzi_build_make or
 * sqzi_build_budget; the card. */
SQZ_NODISCARD sqz_status sqzi_build_run(sqz_build *build, sqzi_build_steps *steps,
                                        sqz_error *error);
/* From the base to the file: rows looked at, unless they were, a head fitted or kept, the choice.
 */
SQZ_NODISCARD sqz_status sqzi_build_make(sqz_build *build, sqz_error *error);

/* ---- build_note.c ---- */

/* A line for the user; what is not said in whole ends in dots. */
void sqzi_build_note(const sqz_build *build, const char *format, ...) SQZI_PRINTF(2, 3);

/* ---- build_answers.c ---- */

/* The choice, of the logits that there are, predictions and figures. */
SQZ_NODISCARD sqz_status sqzi_build_decide(sqz_build *build, sqz_error *error);

/* ---- build_data.c ---- */

/* Counts, repeats, the split, lengths: the data set has pieces by then. */
SQZ_NODISCARD sqz_status sqzi_build_look(sqz_build *build, sqz_error *error);
/* What can be said of a data set before anything is run. */
SQZ_NODISCARD sqz_status sqzi_build_check(const sqz_build *build, sqz_error *error);
/* Confusions of the predictions. */
void sqzi_build_find_confusions(sqz_build *build);

/* ---- build_copies.c ---- */

/* Near copies across the split, of the frozen encoder's rows. */
SQZ_NODISCARD sqz_status sqzi_build_find_copies(sqz_build *build, sqz_error *error);

/* ---- build_full.c ---- */

/* Whether every weight can be trained in the minutes that are left, and training them; then the
 * choice. The file is written where it is theirs. */
SQZ_NODISCARD sqz_status sqzi_build_full(sqz_build *build, sqz_error *error);

/* ---- build_keep.c ---- */

/* The base, whose head is kept: opened, and as many classes as it has. */
SQZ_NODISCARD sqz_status sqzi_build_open_kept(sqz_build *build, sqz_error *error);
/* Its output of each class, the data's by their names, the others behind them. */
SQZ_NODISCARD sqz_status sqzi_build_match_outputs(sqz_build *build, sqz_error *error);
/* The choice by its answers, and the file. */
SQZ_NODISCARD sqz_status sqzi_build_keep(sqz_build *build, sqz_error *error);
/* Bytes that the file may have more than the base. */
uint64_t sqzi_build_kept_bytes(void);

/* ---- build_budget.c ---- */

/* The options' compress: a teacher, what is squeezed of it, and that with its head kept. */
SQZ_NODISCARD sqz_status sqzi_build_budget(sqz_build *build, sqz_error *error);

/* ---- build_logits.c ---- */

/* Logits [n_held_out, n_classes] of a model on the rows held out, from build->outputs where the
 * head is kept. */
SQZ_NODISCARD sqz_status sqzi_build_read_logits(const sqz_build *build, const sqz_model *model,
                                                float *logits, sqz_error *error);

/* ---- build_card.c ---- */

/* Into the open card, if there is one, before the model gets its name. */
SQZ_NODISCARD sqz_status sqzi_build_put_card(const sqz_build *build, sqz_error *error);

#endif
