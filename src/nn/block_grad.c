/* SPDX-License-Identifier: Apache-2.0 */
/* A block backward, by rows, heads, and units of its weights' gradients. */
#include "nn/block_grad.h"

sqzi_mask sqzi_block_mask(const sqzi_encoder_pass *pass, uint32_t i, sqzi_dropout_site site)
{
    const sqzi_dropout *d = pass->dropout;
    const double p = !d ? 0 : site == SQZI_SITE_WEIGHTS ? d->attention : d->hidden;
    return sqzi_mask_of(pass->kernels, d, p, i + 1, site);
}

static const sqzi_block *block_of(const sqzi_block_pass *p)
{
    return &p->pass->encoder->blocks[p->i];
}

static size_t width_of(const sqzi_block_pass *p)
{
    return p->pass->encoder->width;
}

bool sqzi_block_can_be_narrow(const sqzk_table *kernels, const sqzi_block *block)
{
    const sqzk_gemm *products = kernels->attention_bf16;
    if (products->type != SQZI_BF16 || sqzk_gemm_prepared_bytes(products, block->head_width) !=
                                           block->head_width * sizeof(uint16_t))
        return false;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const sqzi_linear *linear = sqzi_block_linear_of(block, j);
        if (!sqzi_linear_reads_bf16(linear) || !sqzi_linear_rounds_dy(linear)) return false;
    }
    return true;
}

void sqzi_round_rows(const sqzi_linear *linear, size_t m, size_t n, const sqzi_real *x, size_t ldx,
                     uint16_t *out, size_t ldo)
{
    (void)sqzi_grad_gemm(&linear->terms[0].b)->prepare(&(sqzk_prepare_args){
        .m = m, .k = n, .x = x, .ldx = ldx, .out = out, .ldo = ldo * sizeof *out});
}

/* Rows without gaps; of a strip: those of the strip at hand alone. */
typedef struct matrix {
    sqzi_real *x;
    size_t ld;
    bool strip;
} matrix;

/* What linear j read, what its outputs' gradient is, where that of its inputs goes, and what is
 * added to that. */
typedef struct linear_rows {
    matrix x, dy, dx, add;
    const uint16_t *x_bf16; /* not NULL: instead of x */
} linear_rows;

/* The linears of a narrow block that others than attention hand their gradient. */
static linear_rows rows_of_narrow(const sqzi_block_pass *p, uint32_t j)
{
    const sqzi_block *block = block_of(p);
    const sqzi_block_back_rows *r = p->rows;
    const size_t width = width_of(p), heads = (size_t)block->heads * block->head_width,
                 ffn = block->ffn_width;
    const matrix none = {NULL, 0, false}, dropped = {p->scratch->rows, width, true},
                 d_up = {p->scratch->d_up, ffn, true};
    switch ((sqzi_block_linear_id)j) {
    case SQZI_ATTN_OUTPUT:
        return (linear_rows){{NULL, heads, false},
                             r->d_output ? (matrix){r->d_output, width, false} : dropped,
                             {r->d_context, heads, false},
                             none,
                             p->halves->context};
    case SQZI_FFN_UP:
        return (linear_rows){{NULL, width, false},
                             d_up,
                             {r->d_attn, width, false},
                             {p->d_out, width, false},
                             r->attended_bf16};
    default:
        return (linear_rows){{NULL, ffn, false},
                             r->d_down ? (matrix){r->d_down, width, false} : dropped,
                             d_up,
                             none,
                             p->halves->up};
    }
}

static linear_rows rows_of_linear(const sqzi_block_pass *p, uint32_t j)
{
    const sqzi_block *block = block_of(p);
    const sqzi_block_back_rows *r = p->rows;
    const size_t width = width_of(p), heads = (size_t)block->heads * block->head_width,
                 ffn = block->ffn_width;
    const matrix none = {NULL, 0, false}, x = {r->x, width, false}, d_x = {p->d_x, width, false},
                 d_attn = {r->d_attn, width, false}, d_up = {r->d_up, ffn, false};
    if (p->halves && j > SQZI_ATTN_V) return rows_of_narrow(p, j);
    switch ((sqzi_block_linear_id)j) {
    case SQZI_ATTN_Q: return (linear_rows){x, {r->dq, heads, false}, d_x, d_attn, r->x_bf16};
    case SQZI_ATTN_K: return (linear_rows){x, {r->dk, heads, false}, d_x, d_x, r->x_bf16};
    case SQZI_ATTN_V: return (linear_rows){x, {r->dv, heads, false}, d_x, d_x, r->x_bf16};
    case SQZI_ATTN_OUTPUT:
        return (linear_rows){{p->keep->context, heads, false},
                             {r->d_output, width, false},
                             {r->d_context, heads, false},
                             none,
                             NULL};
    case SQZI_FFN_UP:
        return (
            linear_rows){{r->attended, width, false}, d_up, d_attn, {p->d_out, width, false}, NULL};
    default:
        return (linear_rows){{r->inner, ffn, false}, {r->d_down, width, false}, d_up, none, NULL};
    }
}

/* `strip`: the first row of the strip at hand. */
static sqzi_linear_grad_args linear_args(const sqzi_block_pass *p, uint32_t j, size_t strip)
{
    const linear_rows rows = rows_of_linear(p, j);
    return (sqzi_linear_grad_args){.linear = sqzi_block_linear_of(block_of(p), j),
                                   .back = &p->back->turned[j],
                                   .panels = &p->back->panels[j],
                                   .kernels = p->pass->kernels,
                                   .m = p->pass->batch->n_tokens,
                                   .x = rows.x.x,
                                   .x_bf16 = rows.x_bf16,
                                   .ldx = rows.x.ld,
                                   .dy = rows.dy.x,
                                   .lddy = rows.dy.ld,
                                   .dy_chains = p->halves ? p->rows->bias_chains[j] : NULL,
                                   .dy_row = rows.dy.strip ? strip : 0,
                                   .dx = rows.dx.x,
                                   .lddx = rows.dx.ld,
                                   .dx_row = rows.dx.strip ? strip : 0,
                                   .add = rows.add.x,
                                   .ldadd = rows.add.ld,
                                   .gradient = &p->pass->grads->blocks[p->i].linears[j],
                                   .beta = true};
}

static void linear_grad(const sqzi_block_pass *p, uint32_t j, sqzi_range rows)
{
    const sqzi_linear_grad_args args = linear_args(p, j, rows.begin);
    if (args.dx || sqzi_linear_grad_has_middle(args.linear))
        sqzi_linear_grad_rows(&args, rows, &p->scratch->linear.rows);
}

/* A norm's rows made again: to out, or to halves where that is not NULL. */
static void make_norm(const sqzi_block_pass *p, const sqzi_norm *norm, const sqzi_real *x,
                      sqzi_real *out, uint16_t *halves, sqzi_range rows)
{
    const size_t m = rows.end - rows.begin, n = norm->n, at = rows.begin * n;
    sqzi_real *made = halves ? p->scratch->rows : out + at;
    p->pass->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = m,
                                                                  .n = n,
                                                                  .x = x + at,
                                                                  .ldx = n,
                                                                  .weight = norm->weight,
                                                                  .bias = norm->bias,
                                                                  .epsilon = norm->epsilon,
                                                                  .out = made,
                                                                  .ldo = n});
    if (halves) sqzi_round_rows(&block_of(p)->attn_q, m, n, made, n, halves + at, n);
}

static bool is_trained(const sqzi_norm_numbers *gradient)
{
    return gradient->weight || gradient->bias;
}

static sqzi_norm_grad_args norm_args(const sqzi_block_pass *p, bool ffn)
{
    const sqzi_block *block = block_of(p);
    const sqzi_block_numbers *grads = &p->pass->grads->blocks[p->i];
    const size_t width = width_of(p);
    sqzi_real *d = ffn ? p->d_out : p->rows->d_attn,
              *chains = ffn ? p->rows->ffn_chains : p->rows->attn_chains;
    return (sqzi_norm_grad_args){.norm = ffn ? &block->ffn_norm : &block->attn_norm,
                                 .kernels = p->pass->kernels,
                                 .m = p->pass->batch->n_tokens,
                                 .x = ffn ? p->keep->ffn_sum : p->keep->attn_sum,
                                 .ldx = width,
                                 .dy = d,
                                 .lddy = width,
                                 .dx = d,
                                 .lddx = width,
                                 .chains = is_trained(ffn ? &grads->ffn_norm : &grads->attn_norm)
                                               ? chains
                                               : NULL};
}

/* Through a residual's dropout: out = mask * d, where there is one; out NULL: the strip's rows. */
static void drop(const sqzi_block_pass *p, sqzi_dropout_site site, const sqzi_real *d,
                 sqzi_real *out, sqzi_range rows)
{
    const sqzi_mask mask = sqzi_block_mask(p->pass, p->i, site);
    const size_t width = width_of(p);
    if (mask.share)
        sqzi_mask_batch(&mask, p->pass->batch->first,
                        &(sqzi_mask_rows){.row = rows.begin,
                                          .m = rows.end - rows.begin,
                                          .n = width,
                                          .x = d + rows.begin * width,
                                          .ldx = width,
                                          .out = out ? out + rows.begin * width : p->scratch->rows,
                                          .ldo = width});
}

/* up of a narrow block's strip to the scratch, its activation to where up was kept. */
static const sqzi_real *convert_up(const sqzi_block_pass *p, sqzi_range rows)
{
    const sqzi_block *block = block_of(p);
    const sqzk_table *kernels = p->pass->encoder->kernels;
    const size_t m = rows.end - rows.begin, ffn = block->ffn_width, n = m * ffn;
    uint16_t *halves = p->halves->up + rows.begin * ffn;
    kernels->convert(
        &(sqzk_convert_args){.n = n, .source = halves, .type = SQZI_BF16, .out = p->scratch->up});
    kernels->activate(block->activation, n, p->scratch->up, p->scratch->d_up);
    sqzi_round_rows(&block->ffn_down, m, ffn, p->scratch->d_up, ffn, halves, ffn);
    return p->scratch->up;
}

/* The feed-forward: d_attn comes to be d of what attn_norm made. */
static void feed_forward_grad(const sqzi_block_pass *p, sqzi_range rows)
{
    const sqzi_block *block = block_of(p);
    const size_t at = rows.begin * block->ffn_width, n = (rows.end - rows.begin) * block->ffn_width;
    const sqzi_real *up = p->halves ? convert_up(p, rows) : p->keep->up + at;
    sqzi_real *d_up = p->halves ? p->scratch->d_up : p->rows->d_up + at;
    if (!p->halves)
        p->pass->encoder->kernels->activate(block->activation, n, up, p->rows->inner + at);
    linear_grad(p, SQZI_FFN_DOWN, rows);
    p->pass->kernels->activate_grad(&(sqzk_activate_grad_args){
        .activation = block->activation, .n = n, .x = up, .dy = d_up, .dx = d_up});
    make_norm(p, &block->attn_norm, p->keep->attn_sum, p->rows->attended,
              p->halves ? p->rows->attended_bf16 : NULL, rows);
    linear_grad(p, SQZI_FFN_UP, rows);
}

void sqzi_block_grad_rows(const sqzi_block_pass *p, sqzi_range rows)
{
    const sqzi_norm_grad_args ffn = norm_args(p, true), attn = norm_args(p, false);
    sqzi_norm_grad_rows(&ffn, rows);
    drop(p, SQZI_SITE_DOWN, p->d_out, p->rows->d_down, rows);
    feed_forward_grad(p, rows);
    sqzi_norm_grad_rows(&attn, rows);
    drop(p, SQZI_SITE_OUTPUT, p->rows->d_attn, p->rows->d_output, rows);
    linear_grad(p, SQZI_ATTN_OUTPUT, rows);
    if (p->x_sum) make_norm(p, p->x_norm, p->x_sum, p->rows->x, p->rows->x_bf16, rows);
}

size_t sqzi_scores_before(const sqzi_encoder_pass *pass, uint32_t i, uint32_t sequence,
                          uint32_t head)
{
    const uint32_t *first = pass->batch->first;
    size_t n = 0;
    for (uint32_t b = 0; b <= sequence; b++) {
        const size_t length = first[b + 1] - first[b];
        n += (b < sequence ? pass->encoder->blocks[i].heads : head) * length * length;
    }
    return n;
}

static const sqzi_real *d_scores_of(const sqzi_block_pass *p, uint32_t sequence, uint32_t head)
{
    const sqzi_real *d = p->pass->keep_grads ? p->pass->keep_grads[p->i].scores : NULL;
    return d ? d + sqzi_scores_before(p->pass, p->i, sequence, head) : NULL;
}

void sqzi_block_grad_attention(const sqzi_block_pass *p, uint32_t sequence, uint32_t head)
{
    const sqzi_block *block = block_of(p);
    static const sqzi_block_halves nothing;
    const sqzi_block_halves *halves = p->halves ? p->halves : &nothing;
    const uint32_t *first = p->pass->batch->first;
    const size_t ld = (size_t)block->heads * block->head_width;
    sqzi_attention_grad(
        &(sqzi_attention_grad_args){.kernels = p->pass->encoder->kernels,
                                    .grad_kernels = p->pass->kernels,
                                    .block = block,
                                    .scratch = &p->scratch->attention,
                                    .mask = sqzi_block_mask(p->pass, p->i, SQZI_SITE_WEIGHTS),
                                    .sequence = sequence,
                                    .head = head,
                                    .begin = first[sequence],
                                    .end = first[sequence + 1],
                                    .q = {.first = p->keep->q, .bf16 = halves->q, .ld = ld},
                                    .k = {.first = p->keep->k, .bf16 = halves->k, .ld = ld},
                                    .v = {.first = p->keep->v, .bf16 = halves->v, .ld = ld},
                                    .d_context = {.first = p->rows->d_context, .ld = ld},
                                    .dq = {.first = p->rows->dq, .ld = ld},
                                    .dk = {.first = p->rows->dk, .ld = ld},
                                    .dv = {.first = p->rows->dv, .ld = ld},
                                    .d_scores = d_scores_of(p, sequence, head)});
}

static void add(sqzi_real *out, const sqzi_real *x, size_t width, sqzi_range rows)
{
    for (size_t i = rows.begin * width; x && i < rows.end * width; i++) out[i] += x[i];
}

void sqzi_block_grad_inputs(const sqzi_block_pass *p, sqzi_range rows)
{
    static const sqzi_block_keep_grad nothing;
    const sqzi_block_keep_grad *more = p->pass->keep_grads ? &p->pass->keep_grads[p->i] : &nothing;
    const size_t heads = (size_t)block_of(p)->heads * block_of(p)->head_width;
    add(p->rows->dq, more->q, heads, rows);
    add(p->rows->dk, more->k, heads, rows);
    add(p->rows->dv, more->v, heads, rows);
    for (uint32_t j = SQZI_ATTN_Q; j <= SQZI_ATTN_V; j++) linear_grad(p, j, rows);
    if (p->d_x) add(p->d_x, more->x, width_of(p), rows);
}

uint32_t sqzi_block_panel_units(const sqzi_block_pass *p)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const sqzi_linear_grad_args args = linear_args(p, j, 0);
        n += sqzi_linear_panel_units(&args);
    }
    return n;
}

void sqzi_block_grad_panels(const sqzi_block_pass *p, uint32_t unit)
{
    for (uint32_t j = 0, n; j < SQZI_BLOCK_LINEARS; j++, unit -= n) {
        const sqzi_linear_grad_args args = linear_args(p, j, 0);
        n = sqzi_linear_panel_units(&args);
        if (unit >= n) continue;
        sqzi_linear_grad_panels(&args, unit, &p->scratch->linear);
        return;
    }
}

/* Both norms, then the linears. */
uint32_t sqzi_block_weight_units(const sqzi_block_pass *p)
{
    uint32_t n = 2;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
        const sqzi_linear_grad_args args = linear_args(p, j, 0);
        n += sqzi_linear_weight_units(&args);
    }
    return n;
}

static void norm_grad(const sqzi_block_pass *p, bool ffn)
{
    const sqzi_norm_grad_args args = norm_args(p, ffn);
    const sqzi_block_numbers *grads = &p->pass->grads->blocks[p->i];
    if (args.chains)
        sqzi_norm_grad_weights(&args, ffn ? &grads->ffn_norm : &grads->attn_norm, true,
                               (sqzi_range){0, args.norm->n});
}

void sqzi_block_grad_weights(const sqzi_block_pass *p, uint32_t unit)
{
    if (unit < 2) {
        norm_grad(p, unit == 1);
        return;
    }
    unit -= 2;
    for (uint32_t j = 0, n; j < SQZI_BLOCK_LINEARS; j++, unit -= n) {
        const sqzi_linear_grad_args args = linear_args(p, j, 0);
        n = sqzi_linear_weight_units(&args);
        if (unit >= n) continue;
        sqzi_linear_grad_weights(&args, unit, &p->scratch->linear);
        return;
    }
}

uint32_t sqzi_block_pack_units(const sqzi_block_back *back)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) n += sqzi_linear_back_units(&back->turned[j]);
    return n;
}

void sqzi_block_pack(const sqzi_block_back *back, const sqzi_block_numbers *masters, uint32_t unit)
{
    for (uint32_t j = 0, n; j < SQZI_BLOCK_LINEARS; j++, unit -= n) {
        n = sqzi_linear_back_units(&back->turned[j]);
        if (unit >= n) continue;
        sqzi_linear_back_pack(&back->turned[j], &masters->linears[j], unit);
        return;
    }
}
