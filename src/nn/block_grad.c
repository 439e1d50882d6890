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

/* Rows without gaps. */
typedef struct matrix {
    sqzi_real *x;
    size_t ld;
} matrix;

/* What linear j read, what its outputs' gradient is, where that of its inputs goes, and what is
 * added to that. */
typedef struct linear_rows {
    matrix x, dy, dx, add;
} linear_rows;

static linear_rows rows_of_linear(const sqzi_block_pass *p, uint32_t j)
{
    const sqzi_block *block = block_of(p);
    const sqzi_block_back_rows *r = p->rows;
    const size_t width = width_of(p), heads = (size_t)block->heads * block->head_width,
                 ffn = block->ffn_width;
    const matrix none = {NULL, 0}, d_x = {p->d_x, width};
    switch ((sqzi_block_linear_id)j) {
    case SQZI_ATTN_Q: return (linear_rows){{r->x, width}, {r->dq, heads}, d_x, {r->d_attn, width}};
    case SQZI_ATTN_K: return (linear_rows){{r->x, width}, {r->dk, heads}, d_x, d_x};
    case SQZI_ATTN_V: return (linear_rows){{r->x, width}, {r->dv, heads}, d_x, d_x};
    case SQZI_ATTN_OUTPUT:
        return (linear_rows){
            {p->keep->context, heads}, {r->d_output, width}, {r->d_context, heads}, none};
    case SQZI_FFN_UP:
        return (linear_rows){
            {r->attended, width}, {r->d_up, ffn}, {r->d_attn, width}, {p->d_out, width}};
    default: return (linear_rows){{r->inner, ffn}, {r->d_down, width}, {r->d_up, ffn}, none};
    }
}

static sqzi_linear_grad_args linear_args(const sqzi_block_pass *p, uint32_t j)
{
    const linear_rows rows = rows_of_linear(p, j);
    return (sqzi_linear_grad_args){.linear = sqzi_block_linear_of(block_of(p), j),
                                   .back = &p->back->turned[j],
                                   .panels = &p->back->panels[j],
                                   .kernels = p->pass->kernels,
                                   .m = p->pass->batch->n_tokens,
                                   .x = rows.x.x,
                                   .ldx = rows.x.ld,
                                   .dy = rows.dy.x,
                                   .lddy = rows.dy.ld,
                                   .dx = rows.dx.x,
                                   .lddx = rows.dx.ld,
                                   .add = rows.add.x,
                                   .ldadd = rows.add.ld,
                                   .gradient = &p->pass->grads->blocks[p->i].linears[j],
                                   .beta = true};
}

static void linear_grad(const sqzi_block_pass *p, uint32_t j, sqzi_range rows)
{
    const sqzi_linear_grad_args args = linear_args(p, j);
    if (args.dx || sqzi_linear_grad_has_middle(args.linear))
        sqzi_linear_grad_rows(&args, rows, &p->scratch->linear.rows);
}

/* A norm's rows made again. */
static void make_norm(const sqzi_block_pass *p, const sqzi_norm *norm, const sqzi_real *x,
                      sqzi_real *out, sqzi_range rows)
{
    p->pass->encoder->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                                  .n = norm->n,
                                                                  .x = x + rows.begin * norm->n,
                                                                  .ldx = norm->n,
                                                                  .weight = norm->weight,
                                                                  .bias = norm->bias,
                                                                  .epsilon = norm->epsilon,
                                                                  .out = out + rows.begin * norm->n,
                                                                  .ldo = norm->n});
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

/* Through a residual's dropout: out = mask * d, where there is one. */
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
                                          .out = out + rows.begin * width,
                                          .ldo = width});
}

/* The feed-forward: d_attn comes to be d of what attn_norm made. */
static void feed_forward_grad(const sqzi_block_pass *p, sqzi_range rows)
{
    const sqzi_block *block = block_of(p);
    const size_t at = rows.begin * block->ffn_width, n = (rows.end - rows.begin) * block->ffn_width;
    p->pass->encoder->kernels->activate(block->activation, n, p->keep->up + at,
                                        p->rows->inner + at);
    linear_grad(p, SQZI_FFN_DOWN, rows);
    p->pass->kernels->activate_grad(&(sqzk_activate_grad_args){.activation = block->activation,
                                                               .n = n,
                                                               .x = p->keep->up + at,
                                                               .dy = p->rows->d_up + at,
                                                               .dx = p->rows->d_up + at});
    make_norm(p, &block->attn_norm, p->keep->attn_sum, p->rows->attended, rows);
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
    if (p->x_sum) make_norm(p, p->x_norm, p->x_sum, p->rows->x, rows);
}

/* d of the kept scores of a head: those of earlier sequences lie before it. */
static const sqzi_real *d_scores_of(const sqzi_block_pass *p, uint32_t sequence, uint32_t head)
{
    const uint32_t *first = p->pass->batch->first;
    const sqzi_real *d = p->pass->keep_grads ? p->pass->keep_grads[p->i].scores : NULL;
    for (uint32_t b = 0; d && b <= sequence; b++) {
        const size_t length = first[b + 1] - first[b];
        d += (b < sequence ? block_of(p)->heads : head) * length * length;
    }
    return d;
}

void sqzi_block_grad_attention(const sqzi_block_pass *p, uint32_t sequence, uint32_t head)
{
    const sqzi_block *block = block_of(p);
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
                                    .q = {.first = p->keep->q, .ld = ld},
                                    .k = {.first = p->keep->k, .ld = ld},
                                    .v = {.first = p->keep->v, .ld = ld},
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
        const sqzi_linear_grad_args args = linear_args(p, j);
        n += sqzi_linear_panel_units(&args);
    }
    return n;
}

void sqzi_block_grad_panels(const sqzi_block_pass *p, uint32_t unit)
{
    for (uint32_t j = 0, n; j < SQZI_BLOCK_LINEARS; j++, unit -= n) {
        const sqzi_linear_grad_args args = linear_args(p, j);
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
        const sqzi_linear_grad_args args = linear_args(p, j);
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
        const sqzi_linear_grad_args args = linear_args(p, j);
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
