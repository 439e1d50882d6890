/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of a linear's matrices, as gemms over tokens, and of its bias. */
#include "kernel/grad/grad_table.h"
#include "nn/columns_grad.h"
#include "nn/pack.h"

/* Rows of a turned unit lie this many floats more apart than they are long: at 4 kB all would fall
 * into the same sets of a cache. */
enum { TURNED_GAP = 16 };
enum { TURNED_LD = SQZI_GRAD_TOKENS + TURNED_GAP };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static const sqzi_matrix *first_matrix(const sqzi_term *term)
{
    return term->a.packed ? &term->a : &term->b;
}

/* Rows of a batch, of which a matrix reads or makes column j as column gather[j]. */
typedef struct operand {
    const sqzi_real *rows;
    size_t ld;
    const uint32_t *gather;
    const uint16_t *bf16; /* not NULL: they are bf16 and lie here, and nothing is gathered */
} operand;

/* The gradient of one matrix: [groups * n, k], the sum over tokens of `left` turned, [groups * n]
 * columns, times `right`, [groups * k] columns, which is packed. */
typedef struct product {
    const sqzk_gemm *gemm;
    size_t groups, n, k;
    operand left, right;
    unsigned char *panels;
    bool shared;
    sqzi_real *gradient;
    const uint16_t *left_bf16; /* not NULL: left, rounded, rows of all its columns */
    sqzi_real *bias;           /* not NULL: left is dy, and the sums of its columns go here */
} product;

/* A matrix whose numbers lie [n_in, n_out] has the gradient x' dy. */
static product product_of(const sqzi_matrix *matrix, operand in, operand out, unsigned char *panels,
                          bool shared, sqzi_real *gradient)
{
    const bool transposed = matrix->packing.transposed;
    const size_t n = matrix->n_out / matrix->groups, k = matrix->n_in / matrix->groups;
    return (product){.gemm = sqzi_grad_gemm(matrix),
                     .groups = matrix->groups,
                     .n = transposed ? k : n,
                     .k = transposed ? n : k,
                     .left = transposed ? in : out,
                     .right = transposed ? out : in,
                     .panels = panels,
                     .shared = shared,
                     .gradient = gradient};
}

enum { MOST_PRODUCTS = 2 * SQZI_MAX_TERMS };

/* The products of a linear that are wanted. */
static uint32_t list_products(const sqzi_linear_grad_args *args, product *list)
{
    const sqzi_linear *linear = args->linear;
    uint32_t n = 0;
    bool has_bias = false;
    for (uint32_t t = 0; args->gradient && t < linear->n_terms; t++) {
        const sqzi_term *term = &linear->terms[t];
        const size_t ranks = term->a.n_out;
        sqzi_real *a = args->gradient->terms[t].a, *b = args->gradient->terms[t].b;
        const operand x = {args->x, args->ldx, first_matrix(term)->gather, args->x_bf16},
                      dy = {args->dy, args->lddy, linear->from ? linear->out : NULL, NULL},
                      middle = {args->panels->terms[t].middle_rows, ranks, NULL, NULL},
                      d_middle = {args->panels->terms[t].d_middle, ranks, NULL, NULL};
        unsigned char *of_x = args->panels->terms[t].x, *of_middle = args->panels->terms[t].middle;
        const bool shared = args->panels->terms[t].shared;
        if (term->a.packed && a) list[n++] = product_of(&term->a, x, d_middle, of_x, shared, a);
        if (term->a.packed && b) list[n++] = product_of(&term->b, middle, dy, of_middle, false, b);
        if (!term->a.packed && b) list[n++] = product_of(&term->b, x, dy, of_x, shared, b);
        /* whoever turns dy finds it in the cache */
        if (b && !has_bias && !term->b.packing.transposed) {
            list[n - 1].bias = args->gradient->bias;
            if (args->dx || term->a.packed) list[n - 1].left_bf16 = args->panels->dy;
            has_bias = true;
        }
    }
    return n;
}

/* Panels of a whole batch; of some tokens of one group: sqzk_gemm_packed_bytes. */
static size_t batch_bytes(const sqzi_matrix *matrix, size_t tokens)
{
    const sqzk_gemm *gemm = sqzi_grad_gemm(matrix);
    const size_t k = (matrix->packing.transposed ? matrix->n_out : matrix->n_in) / matrix->groups,
                 rest = tokens % SQZI_GRAD_TOKENS;
    return matrix->groups *
           (tokens / SQZI_GRAD_TOKENS * sqzk_gemm_packed_bytes(gemm, SQZI_GRAD_TOKENS, k) +
            (rest ? sqzk_gemm_packed_bytes(gemm, rest, k) : 0));
}

/* Both read the same rows, and their panels would be equal. */
static bool same_panels(const sqzi_matrix *a, const sqzi_matrix *b)
{
    return sqzi_grad_gemm(a) == sqzi_grad_gemm(b) && a->groups == b->groups && a->n_in == b->n_in &&
           a->gather == b->gather && !a->packing.transposed && !b->packing.transposed;
}

/* The panels of the rows that a linear reads which this matrix can use. */
static unsigned char *find_panels(const sqzi_linear *linear, uint32_t n_terms,
                                  const sqzi_linear_panels *panels, const sqzi_matrix *matrix,
                                  bool *found)
{
    for (uint32_t t = 0; t < n_terms && !*found; t++) {
        *found = same_panels(first_matrix(&linear->terms[t]), matrix);
        if (*found) return panels->terms[t].x;
    }
    return NULL;
}

bool sqzi_linear_rounds_dy(const sqzi_linear *linear)
{
    const sqzi_matrix *matrix = &linear->terms[0].b;
    const sqzi_matrix turned = sqzi_matrix_turned(matrix);
    const sqzi_linear back = {.n_terms = linear->n_terms, .terms = {{.b = turned}}};
    return !linear->from && !matrix->packing.transposed && sqzi_linear_reads_bf16(&back);
}

void sqzi_linear_panels_layout(const sqzi_linear *linear, size_t tokens, const sqzi_linear *same,
                               const sqzi_linear_panels *panels_of_same, sqzi_linear_panels *panels,
                               sqzi_arena *arena)
{
    *panels = (sqzi_linear_panels){0};
    if (sqzi_linear_rounds_dy(linear))
        panels->dy = sqzi_arena_take(arena, tokens * linear->n_out, sizeof *panels->dy);
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_term *term = &linear->terms[t];
        const sqzi_matrix *first = first_matrix(term);
        bool *shared = &panels->terms[t].shared;
        panels->terms[t].x = find_panels(linear, t, panels, first, shared);
        if (same && !*shared)
            panels->terms[t].x = find_panels(same, same->n_terms, panels_of_same, first, shared);
        if (!*shared) panels->terms[t].x = sqzi_arena_take(arena, 1, batch_bytes(first, tokens));
        if (!term->a.packed) continue;
        const size_t numbers = tokens * term->a.n_out;
        panels->terms[t].middle = sqzi_arena_take(arena, 1, batch_bytes(&term->b, tokens));
        panels->terms[t].middle_rows = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
        panels->terms[t].d_middle = sqzi_arena_take(arena, numbers, sizeof(sqzi_real));
    }
}

void sqzi_grad_scratch_layout(sqzi_grad_scratch *scratch, sqzi_arena *arena)
{
    sqzi_linear_scratch_layout(&scratch->rows, arena);
    scratch->gathered = sqzi_arena_take(arena, (size_t)SQZI_GRAD_TOKENS * SQZI_PACK_COLUMNS,
                                        sizeof *scratch->gathered);
    scratch->turned = sqzi_arena_take(arena, (size_t)SQZI_GRAD_UNIT * TURNED_LD,
                                      sizeof *scratch->turned);
    scratch->prepared = sqzi_arena_take(arena, (size_t)SQZI_GRAD_UNIT * TURNED_LD,
                                        sizeof(uint16_t));
}

/* Columns [begin, end) of some tokens, gathered where they must be. */
static operand some_of(const sqzi_linear_grad_args *args, const operand *from, sqzi_range tokens,
                       size_t begin, size_t end, sqzi_grad_scratch *scratch)
{
    if (from->bf16)
        return (operand){NULL, from->ld, NULL, from->bf16 + tokens.begin * from->ld + begin};
    const sqzi_real *rows = from->rows + tokens.begin * from->ld;
    if (!from->gather) return (operand){rows + begin, from->ld, NULL, NULL};
    args->linear->kernels->gather(&(sqzk_gather_args){.m = tokens.end - tokens.begin,
                                                      .n = end - begin,
                                                      .x = rows,
                                                      .ldx = from->ld,
                                                      .index = from->gather + begin,
                                                      .out = scratch->gathered,
                                                      .ldo = end - begin});
    return (operand){scratch->gathered, end - begin, NULL, NULL};
}

static size_t chunks_of(size_t m)
{
    return (m + SQZI_GRAD_TOKENS - 1) / SQZI_GRAD_TOKENS;
}

static sqzi_range chunk_of(size_t m, size_t chunk)
{
    return (sqzi_range){chunk * SQZI_GRAD_TOKENS, least(m, (chunk + 1) * SQZI_GRAD_TOKENS)};
}

/* The panels of a group, of a chunk of this many tokens; all chunks before it are whole. */
static unsigned char *group_panels(const product *p, size_t chunk, size_t tokens, size_t group)
{
    return p->panels + chunk * p->groups * sqzk_gemm_packed_bytes(p->gemm, SQZI_GRAD_TOKENS, p->k) +
           group * sqzk_gemm_packed_bytes(p->gemm, tokens, p->k);
}

static uint32_t panel_units(const product *p, size_t m)
{
    return p->shared ? 0 : (uint32_t)chunks_of(m) * sqzi_column_units(p->gemm, p->groups, p->k);
}

uint32_t sqzi_linear_panel_units(const sqzi_linear_grad_args *args)
{
    product list[MOST_PRODUCTS];
    uint32_t units = 0;
    for (uint32_t n = list_products(args, list), i = 0; i < n; i++)
        units += panel_units(&list[i], args->m);
    return units;
}

static void pack_panels(const sqzi_linear_grad_args *args, const product *p, uint32_t unit,
                        sqzi_grad_scratch *scratch)
{
    const uint32_t of_chunk = sqzi_column_units(p->gemm, p->groups, p->k);
    const sqzi_range tokens = chunk_of(args->m, unit / of_chunk);
    const size_t n_tokens = tokens.end - tokens.begin;
    const sqzi_columns at = sqzi_columns_of(p->gemm, p->k, unit % of_chunk);
    const operand right = some_of(args, &p->right, tokens, at.group * p->k + at.begin,
                                  at.group * p->k + at.end, scratch);
    p->gemm->pack(&(sqzk_pack_args){.n = at.end - at.begin,
                                    .k = n_tokens,
                                    .source = right.bf16 ? (const void *)right.bf16 : right.rows,
                                    .n_stride = 1,
                                    .k_stride = right.ld,
                                    .type = right.bf16 ? SQZI_BF16 : SQZI_F32},
                  group_panels(p, unit / of_chunk, n_tokens, at.group) +
                      at.panel * sqzk_gemm_panel_bytes(p->gemm, n_tokens));
}

void sqzi_linear_grad_panels(const sqzi_linear_grad_args *args, uint32_t unit,
                             sqzi_grad_scratch *scratch)
{
    product list[MOST_PRODUCTS];
    for (uint32_t n = list_products(args, list), i = 0; i < n; i++) {
        const uint32_t units = panel_units(&list[i], args->m);
        if (unit < units) {
            pack_panels(args, &list[i], unit, scratch);
            return;
        }
        unit -= units;
    }
}

static uint32_t row_units(const product *p)
{
    return (uint32_t)((p->groups * p->n + SQZI_GRAD_UNIT - 1) / SQZI_GRAD_UNIT);
}

/* Of a bias that no product sums. */
static uint32_t bias_units(const sqzi_linear_grad_args *args, const product *list, uint32_t n)
{
    if (!args->gradient || !args->gradient->bias) return 0;
    for (uint32_t i = 0; i < n; i++)
        if (list[i].bias) return 0;
    return (args->linear->n_out + SQZI_PACK_COLUMNS - 1) / SQZI_PACK_COLUMNS;
}

uint32_t sqzi_linear_weight_units(const sqzi_linear_grad_args *args)
{
    product list[MOST_PRODUCTS];
    const uint32_t n = list_products(args, list);
    uint32_t units = bias_units(args, list, n);
    for (uint32_t i = 0; i < n; i++) units += row_units(&list[i]);
    return units;
}

/* Columns of dy, summed to the bias; chains of rows end where chunks do. */
static void add_bias(const sqzi_linear_grad_args *args, const operand *dy, size_t n_tokens,
                     size_t columns, bool beta, sqzi_real *bias)
{
    args->kernels->sum_rows(&(sqzk_sum_rows_args){.m = n_tokens,
                                                  .n = columns,
                                                  .x = dy->rows,
                                                  .ldx = dy->ld,
                                                  .chain = SQZI_GRAD_ROWS,
                                                  .beta = beta,
                                                  .out = bias});
}

/* The same of chains that were summed before. */
static void add_chains(const sqzi_linear_grad_args *args, size_t begin, size_t columns)
{
    args->kernels->sum_rows(
        &(sqzk_sum_rows_args){.m = (args->m + SQZI_GRAD_ROWS - 1) / SQZI_GRAD_ROWS,
                              .n = columns,
                              .x = args->dy_chains + begin,
                              .ldx = args->linear->n_out,
                              .chain = 1,
                              .beta = args->beta,
                              .out = args->gradient->bias + begin});
}

/* Columns [begin, end) of left as rows for the gemm. */
static const void *turn(const sqzi_linear_grad_args *args, const product *p, size_t chunk,
                        size_t begin, size_t end, sqzi_grad_scratch *scratch, size_t *ld_bytes)
{
    const sqzi_range tokens = chunk_of(args->m, chunk);
    const size_t n_tokens = tokens.end - tokens.begin;
    const bool sums = p->bias && !args->dy_chains;
    operand left = {NULL, 0, NULL, NULL};
    if (sums || !p->left_bf16) left = some_of(args, &p->left, tokens, begin, end, scratch);
    if (sums) add_bias(args, &left, n_tokens, end - begin, chunk || args->beta, p->bias + begin);
    if (p->bias && !sums && chunk == 0) add_chains(args, begin, end - begin);
    if (p->left_bf16) {
        const size_t n = p->groups * p->n;
        *ld_bytes = sqzk_gemm_prepared_bytes(p->gemm, n_tokens);
        args->kernels->transpose(
            &(sqzk_transpose_args){.m = n_tokens,
                                   .n = end - begin,
                                   .type = SQZI_BF16,
                                   .x = p->left_bf16 + tokens.begin * n + begin,
                                   .ldx = n,
                                   .out = scratch->prepared,
                                   .ldo = *ld_bytes / sizeof(uint16_t),
                                   .filled = *ld_bytes / sizeof(uint16_t)});
        return scratch->prepared;
    }
    args->kernels->transpose(&(sqzk_transpose_args){.m = n_tokens,
                                                    .n = end - begin,
                                                    .type = SQZI_F32,
                                                    .x = left.rows,
                                                    .ldx = left.ld,
                                                    .out = scratch->turned,
                                                    .ldo = TURNED_LD,
                                                    .filled = n_tokens});
    *ld_bytes = TURNED_LD * sizeof *scratch->turned;
    if (!p->gemm->prepare) return scratch->turned;
    *ld_bytes = sqzk_gemm_prepared_bytes(p->gemm, n_tokens);
    (void)p->gemm->prepare(&(sqzk_prepare_args){.m = end - begin,
                                                .k = n_tokens,
                                                .x = scratch->turned,
                                                .ldx = TURNED_LD,
                                                .out = scratch->prepared,
                                                .ldo = *ld_bytes});
    return scratch->prepared;
}

/* Rows [begin, end) of a gradient, group by group. */
static void multiply(const sqzi_linear_grad_args *args, const product *p, size_t begin, size_t end,
                     sqzi_grad_scratch *scratch)
{
    for (size_t chunk = 0; chunk < chunks_of(args->m); chunk++) {
        const sqzi_range tokens = chunk_of(args->m, chunk);
        const size_t n_tokens = tokens.end - tokens.begin;
        size_t lda;
        const unsigned char *rows = turn(args, p, chunk, begin, end, scratch, &lda);
        for (size_t row = begin, stop; row < end; row = stop) {
            const size_t group = row / p->n;
            sqzi_real *c = p->gradient + row * p->k;
            const sqzk_epilogue onto = {.residual = c, .ldr = p->k};
            stop = least(end, (group + 1) * p->n);
            p->gemm->run(&(sqzk_gemm_args){.m = stop - row,
                                           .n = p->k,
                                           .k = n_tokens,
                                           .a = rows + (row - begin) * lda,
                                           .lda = lda,
                                           .b = group_panels(p, chunk, n_tokens, group),
                                           .c = c,
                                           .ldc = p->k,
                                           .epilogue = chunk || args->beta ? &onto : NULL});
        }
    }
}

static void sum_bias(const sqzi_linear_grad_args *args, uint32_t unit, sqzi_grad_scratch *scratch)
{
    const size_t begin = (size_t)unit * SQZI_PACK_COLUMNS,
                 end = least(args->linear->n_out, begin + SQZI_PACK_COLUMNS);
    const operand dy = {args->dy, args->lddy, args->linear->from ? args->linear->out : NULL, NULL};
    if (args->dy_chains) {
        add_chains(args, begin, end - begin);
        return;
    }
    for (size_t chunk = 0; chunk < chunks_of(args->m); chunk++) {
        const sqzi_range tokens = chunk_of(args->m, chunk);
        const operand part = some_of(args, &dy, tokens, begin, end, scratch);
        add_bias(args, &part, tokens.end - tokens.begin, end - begin, chunk || args->beta,
                 args->gradient->bias + begin);
    }
}

void sqzi_linear_grad_weights(const sqzi_linear_grad_args *args, uint32_t unit,
                              sqzi_grad_scratch *scratch)
{
    product list[MOST_PRODUCTS];
    const uint32_t n = list_products(args, list);
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t units = row_units(&list[i]);
        if (unit < units) {
            const size_t begin = (size_t)unit * SQZI_GRAD_UNIT;
            multiply(args, &list[i], begin,
                     least(list[i].groups * list[i].n, begin + SQZI_GRAD_UNIT), scratch);
            return;
        }
        unit -= units;
    }
    if (unit < bias_units(args, list, n)) sum_bias(args, unit, scratch);
}
