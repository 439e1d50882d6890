/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of rows, for its two parts: rows.c opens it, finds records' places, a portion of them
 * at a time, and reads the header; record.c makes a row of a place. */
#ifndef SQZI_ROWS_H
#define SQZI_ROWS_H

#include <stdio.h>

#include "base/error.h"
#include "data/line_source.h"
#include "data/text_store.h"

enum { SQZI_NO_COLUMN = -1 };

struct sqz_rows {
    sqz_allocator allocator;
    sqz_rows_options options;
    sqz_rows_source source;
    sqz_quotes quotes; /* of this format, AUTO resolved for csv */
    FILE *file;        /* of sqz_rows_open_file */
    sqzi_line_source lines;
    uint64_t n_blank;
    sqzi_text_store header; /* the header's bytes and names */
    sqz_text *names;
    uint32_t n_names;
    int64_t text_at, text2_at; /* columns of a table */
    uint32_t portion;
    sqzi_line *places;     /* [portion] */
    sqz_row *rows;         /* [portion] */
    sqzi_buffer cells;     /* of the row at hand: sqz_text, or sqzi_json_member */
    sqzi_text_store store; /* fields and faults of the portion */
};

/* ',' of csv, TAB of tsv, 0 of what is no table. */
char sqzi_rows_separator(const sqz_rows *rows);

/* The record at a place; one that cannot be read says so in its status and fault. Its texts lie in
 * the lines and in the store. SQZ_ENOMEM alone is returned. */
SQZ_NODISCARD sqz_status sqzi_read_record(sqz_rows *rows, sqz_row *row, const sqzi_line *place);

#endif
