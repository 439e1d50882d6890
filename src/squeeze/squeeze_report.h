/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each linear of the blocks and of each table: one part of the report for each of
 * them in the source. */
#ifndef SQZI_SQUEEZE_REPORT_H
#define SQZI_SQUEEZE_REPORT_H

#include "squeeze/squeeze_plan.h"

enum { SQZI_FORM_TEXT = 64 };

typedef struct sqzi_squeeze_part {
    char name[SQZI_LINEAR_NAME], from[SQZI_FORM_TEXT], to[SQZI_FORM_TEXT];
    double error; /* squared, relative */
    uint64_t bytes_before, bytes_after;
} sqzi_squeeze_part;

typedef enum sqzi_table_part {
    SQZI_TABLE_WORD,
    SQZI_TABLE_POSITION,
    SQZI_TABLE_TYPE,
    SQZI_TABLE_PROJECTION, /* of the embedding: a linear */
    SQZI_TABLE_PARTS
} sqzi_table_part;

typedef struct sqzi_squeeze_report {
    const sqz_allocator *allocator;
    uint32_t n_blocks;                               /* of the source */
    sqzi_squeeze_part tables[SQZI_TABLE_PARTS];      /* name "": there is none */
    sqzi_squeeze_part (*blocks)[SQZI_BLOCK_LINEARS]; /* [n_blocks] */
    uint32_t n_others;
    sqzi_squeeze_part *others; /* [n_others] behind the blocks */
} sqzi_squeeze_report;

/* Names and forms of the source: of weights as they came. SQZ_ENOMEM. Discard in any case. */
SQZ_NODISCARD sqz_status sqzi_squeeze_report_make(const sqzi_weights *weights,
                                                  sqzi_squeeze_report *report, sqz_error *error);
void sqzi_squeeze_report_discard(sqzi_squeeze_report *report);

/* Forms and bytes of weights as they are now; blocks that are not there were removed. */
void sqzi_squeeze_report_finish(const sqzi_weights *weights, sqzi_squeeze_report *report);

/* Call `part` for each, in the order of the model. */
void sqzi_squeeze_report_tell(const sqzi_squeeze_report *report,
                              void (*part)(void *user, const sqz_squeezed_part *part), void *user);

#endif
