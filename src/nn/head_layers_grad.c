/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a trained head, forward and backward, by rows of inputs and units of gradients. */
#include <math.h>
#include <string.h>

#include "nn/head_back_grad.h"

static sqzi_real *row(sqzi_head_rows rows, size_t i)
{
    return rows.x + i * rows.ld;
}

/* The sequence that an input is, or that its token is of. */
static uint32_t sequence_of(const sqzi_head_pass *pass, uint32_t input, uint32_t *token)
{
    uint32_t low = 0, high = pass->n_sequences;
    *token = 0;
    if (pass->pooling > SQZ_POOLING_NONE) return input;
    const uint32_t at = pass->rows ? pass->rows[input] : input;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (pass->first[middle] <= at) low = middle;
        else high = middle;
    }
    *token = at - pass->first[low];
    return low;
}

/* The mask of an input's row is that of its token in its sequence, of a pooled vector that of
 * token 0. */
static void drop(const sqzi_layer_pass *p, sqzi_head_rows x, sqzi_head_rows out, sqzi_range rows)
{
    const sqzi_head_pass *pass = p->pass;
    const sqzi_mask mask = sqzi_mask_of(pass->grad_kernels, pass->dropout, pass->dropout->head,
                                        pass->layer, p->layer->site);
    for (size_t i = rows.begin; i < rows.end; i++) {
        uint32_t token;
        const uint32_t b = sequence_of(pass, (uint32_t)i, &token);
        sqzi_mask_sequence(&mask, b,
                           &(sqzi_mask_rows){.row = token,
                                             .m = 1,
                                             .n = p->layer->n_in,
                                             .x = row(x, i),
                                             .ldx = x.ld,
                                             .out = row(out, i),
                                             .ldo = out.ld});
    }
}

static void run_linear(const sqzi_layer_pass *p, sqzi_range rows)
{
    const sqzi_head_layer *l = p->layer;
    const size_t m = rows.end - rows.begin;
    sqzi_linear_args args = {.m = m,
                             .x = row(p->in, rows.begin),
                             .ldx = p->in.ld,
                             .y = row(p->out, rows.begin),
                             .ldy = p->out.ld,
                             .activation = l->sum ? SQZK_IDENTITY : l->activation};
    if (l->sum) {
        args.y = l->sum + rows.begin * l->n_out;
        args.ldy = l->n_out;
    }
    if (!sqzi_linear_run(l->linear, &args, &p->scratch->rows)) /* the loss is to tell */
        for (size_t i = 0; i < m; i++)
            for (uint32_t j = 0; j < l->n_out; j++) args.y[i * args.ldy + j] = NAN;
    for (size_t i = rows.begin; l->sum && i < rows.end; i++)
        p->pass->kernels->activate(l->activation, l->n_out, l->sum + i * l->n_out, row(p->out, i));
}

static double length_of(const sqzi_real *x, uint32_t n)
{
    double squares = 0;
    for (uint32_t j = 0; j < n; j++) squares += (double)x[j] * (double)x[j];
    return sqrt(squares);
}

static void run_cut(const sqzi_layer_pass *p, sqzi_range rows)
{
    for (size_t i = rows.begin; i < rows.end; i++) {
        const sqzi_real *x = row(p->in, i);
        sqzi_real *out = row(p->out, i);
        const double length = p->normalize ? length_of(x, p->n_out) : 0;
        for (uint32_t j = 0; j < p->n_out; j++)
            out[j] = length > 0 ? (sqzi_real)((double)x[j] / length) : x[j];
    }
}

void sqzi_layer_run(const sqzi_layer_pass *p, sqzi_range rows)
{
    const sqzi_norm *norm = p->layer->norm;
    switch (p->layer->kind) {
    case SQZI_LAYER_LINEAR: run_linear(p, rows); break;
    case SQZI_LAYER_DROPOUT: drop(p, p->in, p->out, rows); break;
    case SQZI_LAYER_NORMALIZE:
    case SQZI_LAYER_CUT: run_cut(p, rows); break;
    case SQZI_LAYER_NORM:
        p->pass->kernels->layer_norm(&(sqzk_layer_norm_args){.m = rows.end - rows.begin,
                                                             .n = norm->n,
                                                             .x = row(p->in, rows.begin),
                                                             .ldx = p->in.ld,
                                                             .weight = norm->weight,
                                                             .bias = norm->bias,
                                                             .epsilon = norm->epsilon,
                                                             .out = row(p->out, rows.begin),
                                                             .ldo = p->out.ld});
    }
}

/* d of the linear's outputs before its activation. */
static sqzi_head_rows d_linear(const sqzi_layer_pass *p)
{
    const sqzi_head_layer *l = p->layer;
    return l->activation == SQZK_IDENTITY ? p->d_out : (sqzi_head_rows){l->d_out, l->n_out};
}

static sqzi_linear_grad_args linear_args(const sqzi_layer_pass *p)
{
    const sqzi_head_rows d = d_linear(p);
    return (sqzi_linear_grad_args){.linear = p->layer->linear,
                                   .back = &p->layer->back,
                                   .panels = &p->layer->panels,
                                   .kernels = p->pass->grad_kernels,
                                   .m = p->pass->n,
                                   .x = p->in.x,
                                   .ldx = p->in.ld,
                                   .dy = d.x,
                                   .lddy = d.ld,
                                   .dx = p->d_in.x,
                                   .lddx = p->d_in.ld,
                                   .gradient = &p->grads,
                                   .beta = true};
}

static void linear_grad(const sqzi_layer_pass *p, sqzi_range rows)
{
    const sqzi_head_layer *l = p->layer;
    const sqzi_linear_grad_args args = linear_args(p);
    const sqzi_head_rows d = d_linear(p);
    for (size_t i = rows.begin; l->activation != SQZK_IDENTITY && i < rows.end; i++)
        p->pass->grad_kernels->activate_grad(
            &(sqzk_activate_grad_args){.activation = l->activation,
                                       .of_outputs = !l->sum,
                                       .n = l->n_out,
                                       .x = l->sum ? l->sum + i * l->n_out : row(p->out, i),
                                       .dy = row(p->d_out, i),
                                       .dx = row(d, i)});
    if (args.dx || sqzi_linear_grad_has_middle(l->linear))
        sqzi_linear_grad_rows(&args, rows, &p->scratch->rows);
}

static sqzi_norm_grad_args norm_args(const sqzi_layer_pass *p)
{
    const bool trained = p->norm_grads.weight || p->norm_grads.bias;
    return (sqzi_norm_grad_args){.norm = p->layer->norm,
                                 .kernels = p->pass->grad_kernels,
                                 .m = p->pass->n,
                                 .x = p->in.x,
                                 .ldx = p->in.ld,
                                 .dy = p->d_out.x,
                                 .lddy = p->d_out.ld,
                                 .dx = p->layer->d_in,
                                 .lddx = p->layer->n_in,
                                 .chains = trained ? p->layer->chains : NULL};
}

/* y = x / length: dx = (dy - y (y dy)) / length; 0 where the length is. What was cut off gets 0. */
static void cut_grad(const sqzi_layer_pass *p, sqzi_range rows)
{
    for (size_t i = rows.begin; p->d_in.x && i < rows.end; i++) {
        const sqzi_real *x = row(p->in, i), *dy = row(p->d_out, i);
        sqzi_real *dx = row(p->d_in, i);
        const double length = p->normalize ? length_of(x, p->n_out) : 1;
        double along = 0;
        for (uint32_t j = 0; p->normalize && length > 0 && j < p->n_out; j++)
            along += (double)x[j] / length * (double)dy[j];
        for (uint32_t j = 0; j < p->n_out; j++)
            dx[j] = length > 0
                        ? (sqzi_real)(((double)dy[j] - (double)x[j] / length * along) / length)
                        : 0;
        memset(dx + p->n_out, 0, (p->layer->n_in - p->n_out) * sizeof *dx);
    }
}

void sqzi_layer_grad_rows(const sqzi_layer_pass *p, sqzi_range rows)
{
    const sqzi_norm_grad_args norm = norm_args(p);
    switch (p->layer->kind) {
    case SQZI_LAYER_LINEAR: linear_grad(p, rows); break;
    case SQZI_LAYER_DROPOUT:
        if (p->d_in.x) drop(p, p->d_out, p->d_in, rows);
        break;
    case SQZI_LAYER_NORMALIZE:
    case SQZI_LAYER_CUT: cut_grad(p, rows); break;
    case SQZI_LAYER_NORM: sqzi_norm_grad_rows(&norm, rows);
    }
}

uint32_t sqzi_layer_pack_units(const sqzi_layer_pass *p)
{
    const bool linear = p->layer->kind == SQZI_LAYER_LINEAR;
    return linear && (p->d_in.x || sqzi_linear_grad_has_middle(p->layer->linear))
               ? sqzi_linear_back_units(&p->layer->back)
               : 0;
}

void sqzi_layer_pack(const sqzi_layer_pass *p, uint32_t unit)
{
    sqzi_linear_back_pack(&p->layer->back, &p->masters, unit);
}

uint32_t sqzi_layer_panel_units(const sqzi_layer_pass *p)
{
    if (p->layer->kind != SQZI_LAYER_LINEAR) return 0;
    const sqzi_linear_grad_args args = linear_args(p);
    return sqzi_linear_panel_units(&args);
}

void sqzi_layer_grad_panels(const sqzi_layer_pass *p, uint32_t unit)
{
    const sqzi_linear_grad_args args = linear_args(p);
    sqzi_linear_grad_panels(&args, unit, p->scratch);
}

uint32_t sqzi_layer_weight_units(const sqzi_layer_pass *p)
{
    if (p->layer->kind == SQZI_LAYER_NORM) return norm_args(p).chains ? 1 : 0;
    if (p->layer->kind != SQZI_LAYER_LINEAR) return 0;
    const sqzi_linear_grad_args args = linear_args(p);
    return sqzi_linear_weight_units(&args);
}

void sqzi_layer_grad_weights(const sqzi_layer_pass *p, uint32_t unit)
{
    if (p->layer->kind == SQZI_LAYER_NORM) {
        const sqzi_norm_grad_args args = norm_args(p);
        sqzi_norm_grad_weights(&args, &p->norm_grads, true, (sqzi_range){0, args.norm->n});
        return;
    }
    const sqzi_linear_grad_args args = linear_args(p);
    sqzi_linear_grad_weights(&args, unit, p->scratch);
}
