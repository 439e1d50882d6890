/* SPDX-License-Identifier: Apache-2.0 */
/* Matrices and tables as a model file stores them, whichever of its forms that is (doc/format.md
 * "Tensors"): floats, int8 rows with scales, packed rows (io/packed_rows.h) under another name, or
 * the table of words product quantised, as codes and centroids.
 * For whoever reads a model file without running it.
 */
#ifndef SQZI_STORED_MATRIX_H
#define SQZI_STORED_MATRIX_H

#include "io/gguf.h"

typedef struct sqzi_stored {
    const sqzi_gguf_tensor *tensor; /* NULL: there is none */
    uint32_t bits;                  /* of packed rows: 4, 3 or 2; else 0 */
    uint64_t rows, columns;         /* of the matrix */
    const float *scale;             /* [rows] of integers, else NULL; of codes, of the centroids */
    /* 0, or the tensor is codes [rows, parts], and each part of a row one of 256 centroids
     * [parts, 256, columns / parts] */
    uint32_t parts;
    const int8_t *centroids;
} sqzi_stored;

/* Room for the name of any tensor that belongs to a matrix. */
enum { SQZI_STORED_NAME = 112 };

/* The tensor that holds matrix `name`: that itself, or `name`.s4, .s3 or .s2, whose bits go to
 * *bits (0 for the first). NULL where there is none. */
const sqzi_gguf_tensor *sqzi_stored_tensor(const sqzi_gguf *gguf, const char *name, uint32_t *bits);

/* Matrix `name` of a model that has been opened, which saw that its sizes fit each other: columns
 * are what the description says (nn/tensor_list.h), as packed rows do not tell. tensor NULL where
 * there is none. */
sqzi_stored sqzi_stored_of(const sqzi_gguf *gguf, const char *name, uint64_t columns);

/* SQZ_EFORMAT with the first of its packed rows that is not as the format says. Reads all rows:
 * opening a model does so with matrices, which it reads in any case; a bad row of a table gives
 * some numbers or other, as bytes of int8 do, and is found by whoever asks (sqz_model_verify). */
SQZ_NODISCARD sqz_status sqzi_stored_check(const sqzi_stored *stored, sqz_error *error);

/* Row r of it: the numbers that it means, exactly, and rounded to f32. */
void sqzi_stored_row(const sqzi_stored *stored, uint64_t r, double *out);
void sqzi_stored_row_f32(const sqzi_stored *stored, uint64_t r, float *out);

#endif
