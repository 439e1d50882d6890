/* SPDX-License-Identifier: Apache-2.0 */
/* What a squeeze is made of while it runs (squeeze.c), and what it does with texts. */
#ifndef SQZI_SQUEEZER_H
#define SQZI_SQUEEZER_H

#include "data/sentences.h"
#include "squeeze/fidelity.h"
#include "squeeze/squeeze_levers.h"
#include "squeeze/squeeze_then.h"
#include "squeeze/squeeze_time.h"
#include "squeeze/student.h"
#include "squeeze/text_split.h"

/* After which step nothing more is done. */
typedef enum sqzi_squeezer_end {
    SQZI_ENDS_NOWHERE,
    SQZI_ENDS_BUDGET, /* what the budget cannot be below */
    SQZI_ENDS_LEAST   /* that of tables and blocks alone */
} sqzi_squeezer_end;

typedef struct sqzi_squeezer {
    sqz_context *context;
    sqz_squeeze_options options;
    sqzi_squeezer_end ends_with;
    sqzi_student *student;         /* or NULL */
    const sqzi_squeeze_then *then; /* or NULL */
    const char *path, *out;
    sqz_model *model;
    sqzi_squeeze_plan plan;
    sqzi_text_split split;
    sqzi_sentences sentences; /* of what is not held out */
    sqzi_sequences sequences;
    sqzi_statistics statistics;
    sqzi_weights weights;
    sqzi_setting_errors errors; /* where something is chosen */
    sqzi_squeeze_time time;     /* where it is bounded */
    sqzi_squeeze_report report;
    sqzi_fidelity_run fidelity;
    sqzi_measured measured; /* all that is asked of the new file */
    sqz_squeeze_result result;
    size_t done, total; /* of the progress */
    sqz_error *error;
} sqzi_squeezer;

/* One stage more of the progress: each block run, each table, the file; user is the squeezer. Other
 * than 0 stops. */
int sqzi_squeezer_advance(void *user);
int sqzi_squeezer_stage_done(void *user, size_t done, size_t total);

/* A budget or a time leaves something to be chosen. */
bool sqzi_squeezer_chooses(const sqzi_squeezer *s);

/* What is held out of the texts. SQZ_EINVAL: levers need texts, or these a tokenizer. */
SQZ_NODISCARD sqz_status sqzi_squeezer_split(sqzi_squeezer *s);
/* The rest cut into pieces, as result tells it; nothing where no lever asks. SQZ_ENOMEM, and what a
 * text fails with. */
SQZ_NODISCARD sqz_status sqzi_squeezer_collect(sqzi_squeezer *s);
/* What layers read of these, of the model with the blocks that stay; nothing where no lever
 * asks. As sqzi_statistics_find. */
SQZ_NODISCARD sqz_status sqzi_squeezer_read(sqzi_squeezer *s);

#endif
