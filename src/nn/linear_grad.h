/* SPDX-License-Identifier: Apache-2.0 */
/* The backward of a linear of any form (nn/linear.h), in parts that members of a team take, after
 * its dy is there:
 *
 *   pack    sqzi_linear_back_pack      the matrices turned, from placed masters
 *   rows    sqzi_linear_grad_rows      dx = dy W (+ add); of low rank the middle, and its gradient
 *   panels  sqzi_linear_grad_panels    x, and the middle, as panels over tokens
 *   units   sqzi_linear_grad_weights   dW = dy' x, d bias = the sum of dy's rows
 *
 * Each is a stage of its own, the next begins when all parts of the one before are done; panels of
 * a linear without a low-rank term read x alone, and may be made in any earlier stage. Parts of one
 * stage may run in any order and at once: none writes what another one reads or writes.
 *
 * dx is a linear of dy: a term W is W' there, and B A is A' B'; what `from` put in its place is
 * gathered back by `out`, what was gathered goes back through the inverse of `gather`. The numbers
 * of a matrix and their gradient lie placed (nn/pack.h), [n_in, n_out] where its packing is
 * transposed.
 *
 * Gemms of floats alone: f32, and bf16, whose rows and panels are rounded to bf16 for the three
 * products, and whose sums, middles and gradients are f32. Each dW is added up in f32 over
 * SQZI_GRAD_TOKENS tokens at a time, in order.
 */
#ifndef SQZI_LINEAR_GRAD_H
#define SQZI_LINEAR_GRAD_H

#include "nn/grad.h"

/* dx of dy: a sum over terms, each one linear, or of low rank two. */
typedef struct sqzi_linear_back {
    uint32_t n_terms;
    struct {
        bool low_rank;
        sqzi_linear middle;                         /* of low rank: d middle = dy B */
        sqzi_linear last;                           /* dx of dy, or of d middle */
        unsigned char *packed_middle, *packed_last; /* where their panels are packed */
        const uint32_t *gather;                     /* the term's, and where its inverse goes */
        uint32_t *inverse;
    } terms[SQZI_MAX_TERMS];
} sqzi_linear_back;

/* Lay it out: one block's worth may be laid over another's, it is packed right before its use. NULL
 * base: counts, and what comes out may be asked for what it needs. */
void sqzi_linear_back_layout(const sqzi_linear *linear, sqzi_linear_back *back, sqzi_arena *arena);

/* Parts of packing it: about SQZI_PACK_COLUMNS columns of one matrix. */
enum { SQZI_PACK_COLUMNS = 256 };
uint32_t sqzi_linear_back_units(const sqzi_linear_back *back);
void sqzi_linear_back_pack(const sqzi_linear_back *back, const sqzi_linear_numbers *masters,
                           uint32_t unit);

/* What the gradients of weights are made of, for all tokens of a batch. */
typedef struct sqzi_linear_panels {
    struct {
        unsigned char *x;                  /* what the term reads */
        bool shared;                       /* x is another's, who packs it */
        unsigned char *middle;             /* what its second factor reads */
        sqzi_real *middle_rows, *d_middle; /* [N, G·R] */
    } terms[SQZI_MAX_TERMS];
    /* [N, n_out] dy rounded to bf16, once for dx and dW; NULL where their gemms take other rows */
    uint16_t *dy;
} sqzi_linear_panels;

/* dy has such rows: bf16 is what the gemms of dx and dW take of it, without a gap. */
bool sqzi_linear_rounds_dy(const sqzi_linear *linear);

/* Lay it out for batches of at most `tokens` tokens. `same` NULL, or a linear with its panels, laid
 * out before, which reads the same rows: panels that would be equal are shared (K's and V's with
 * Q's). NULL base: counts. */
void sqzi_linear_panels_layout(const sqzi_linear *linear, size_t tokens, const sqzi_linear *same,
                               const sqzi_linear_panels *panels_of_same, sqzi_linear_panels *panels,
                               sqzi_arena *arena);

/* Working memory of a member. Raise `rows` (nn/linear.h) to what sqzi_linear_grad_rows needs for m
 * rows with sqzi_linear_grad_need; the other is one for all linears. */
typedef struct sqzi_grad_scratch {
    sqzi_linear_scratch rows;
    sqzi_real *gathered; /* [SQZI_GRAD_TOKENS, a unit's columns] */
    sqzi_real *turned;   /* [a unit's rows, SQZI_GRAD_TOKENS] */
    unsigned char *prepared;
} sqzi_grad_scratch;

void sqzi_linear_grad_need(const sqzi_linear *linear, const sqzi_linear_back *back, size_t rows,
                           sqzi_linear_scratch *scratch);
/* Lays out scratch->rows too. */
void sqzi_grad_scratch_layout(sqzi_grad_scratch *scratch, sqzi_arena *arena);

/* One linear's backward over a batch. */
typedef struct sqzi_linear_grad_args {
    const sqzi_linear *linear;
    const sqzi_linear_back *back;
    const sqzi_linear_panels *panels;
    const struct sqzk_grad_table *kernels;
    size_t m;           /* tokens of the batch */
    const sqzi_real *x; /* [m, n_in] what it read */
    const uint16_t *x_bf16; /* not NULL: it is bf16 and lies here (sqzi_linear_reads_bf16) */
    size_t ldx;
    const sqzi_real *dy; /* [m, n_out], without an activation or a residual of its epilogue */
    size_t lddy;
    /* NULL, or with panels->dy and dx: [chains of SQZI_GRAD_ROWS rows, n_out] sums of dy. Then rows
     * are cut between chains, no later stage reads dy, and it may hold those from dy_row on alone
     */
    sqzi_real *dy_chains;
    size_t dy_row;
    sqzi_real *dx; /* [m, n_in], or NULL: not wanted, in no stage. Not dy */
    size_t lddx;
    size_t dx_row;        /* the row that dx begins with */
    const sqzi_real *add; /* [m, n_in] added to dx, may be dx; or NULL */
    size_t ldadd;
    const sqzi_linear_numbers *gradient; /* NULL, or NULL in it: frozen */
    bool beta; /* what stands in the gradient is added to; else overwritten */
} sqzi_linear_grad_args;

/* Rows of dx, and what panels are made of later; any cut of rows, at most as many as the scratch
 * was laid out for. Every row must pass here, dx NULL or not, where sqzi_linear_grad_has_middle. */
void sqzi_linear_grad_rows(const sqzi_linear_grad_args *args, sqzi_range rows,
                           sqzi_linear_scratch *scratch);
bool sqzi_linear_grad_has_middle(const sqzi_linear *linear);

/* Parts of packing x and middle: about SQZI_PACK_COLUMNS columns of SQZI_GRAD_TOKENS tokens. None
 * for what is shared or frozen: where one linear's panels serve another, the gradient of the one
 * that packs them must not be frozen alone. */
uint32_t sqzi_linear_panel_units(const sqzi_linear_grad_args *args);
void sqzi_linear_grad_panels(const sqzi_linear_grad_args *args, uint32_t unit,
                             sqzi_grad_scratch *scratch);

/* Parts of the gradients: about SQZI_GRAD_UNIT rows of one matrix, those of dy with the bias of
 * these outputs. None for what is frozen. */
enum { SQZI_GRAD_UNIT = 96 };
uint32_t sqzi_linear_weight_units(const sqzi_linear_grad_args *args);
void sqzi_linear_grad_weights(const sqzi_linear_grad_args *args, uint32_t unit,
                              sqzi_grad_scratch *scratch);

#endif
