/* SPDX-License-Identifier: Apache-2.0 */
/* A trained head over its inputs, forward and backward: its layers, and the stages of a team. */
#include "nn/head_grad.h"

#include <stddef.h>
#include <string.h>

#include "nn/head_back_grad.h"

static sqzi_head_layer *next_layer(struct sqzi_head_back *back, sqzi_head_layer layer)
{
    back->layers[back->n_layers] = layer;
    return &back->layers[back->n_layers++];
}

static void put_linear(struct sqzi_head_back *back, const sqzi_linear *linear,
                       sqzk_activation activation, size_t numbers)
{
    next_layer(back, (sqzi_head_layer){.kind = SQZI_LAYER_LINEAR,
                                       .n_in = linear->n_in,
                                       .n_out = linear->n_out,
                                       .linear = linear,
                                       .activation = activation,
                                       .numbers = numbers});
}

static void put_norm(struct sqzi_head_back *back, const sqzi_norm *norm, size_t numbers)
{
    next_layer(back, (sqzi_head_layer){.kind = SQZI_LAYER_NORM,
                                       .n_in = norm->n,
                                       .n_out = norm->n,
                                       .norm = norm,
                                       .numbers = numbers});
}

static void put_plain(struct sqzi_head_back *back, sqzi_head_layer_kind kind, uint32_t width,
                      sqzi_dropout_site site)
{
    next_layer(back, (sqzi_head_layer){.kind = kind, .n_in = width, .n_out = width, .site = site});
}

/* Heads of questions and of masked words have no dropout. */
static bool drops(const sqzi_head *head)
{
    return head->kind == SQZ_HEAD_SEQUENCE || head->kind == SQZ_HEAD_MULTIPLE_CHOICE ||
           head->kind == SQZ_HEAD_TOKEN;
}

static void put_head(struct sqzi_head_back *back, const sqzi_head *head)
{
    uint32_t width = head->width;
    if (head->has_dense) {
        /* what a dense with ReLU reads, DistilBERT's pre_classifier, is whole */
        if (drops(head) && head->activation != SQZK_RELU)
            put_plain(back, SQZI_LAYER_DROPOUT, width, SQZI_SITE_DENSE);
        put_linear(back, &head->dense, head->activation, offsetof(sqzi_head_numbers, dense));
        width = head->dense.n_out;
    }
    if (head->has_norm) put_norm(back, &head->norm, offsetof(sqzi_head_numbers, norm));
    if (drops(head)) put_plain(back, SQZI_LAYER_DROPOUT, width, SQZI_SITE_CLASSES);
    if (head->factorised)
        put_linear(back, &head->factor, SQZK_IDENTITY, offsetof(sqzi_head_numbers, factor));
    put_linear(back, &head->output, SQZK_IDENTITY, offsetof(sqzi_head_numbers, output));
}

static void put_steps(struct sqzi_head_back *back, const sqzi_head *head)
{
    uint32_t width = head->width;
    for (uint32_t i = 0; i < head->n_steps; i++) {
        const sqzi_embed_step *step = &head->steps[i];
        if (step->kind == SQZI_STEP_DENSE)
            put_linear(back, &step->dense, step->activation,
                       offsetof(sqzi_head_numbers, steps) + i * sizeof(sqzi_linear_numbers));
        else if (step->kind == SQZI_STEP_NORM)
            put_norm(back, &step->norm,
                     offsetof(sqzi_head_numbers, step_norms) + i * sizeof(sqzi_norm_numbers));
        else put_plain(back, SQZI_LAYER_NORMALIZE, width, SQZI_SITE_DENSE);
        width = step->n_out;
    }
    put_plain(back, SQZI_LAYER_CUT, width, SQZI_SITE_DENSE);
}

/* The gradient of these is a function of what they made. */
static bool of_outputs(sqzk_activation activation)
{
    return activation == SQZK_IDENTITY || activation == SQZK_TANH || activation == SQZK_RELU;
}

static void lay_out_layer(sqzi_head_layer *l, bool last, size_t n, sqzi_linear_scratch *need,
                          sqzi_arena *arena)
{
    const size_t of_out = n * l->n_out,
                 sums = l->kind == SQZI_LAYER_LINEAR && !of_outputs(l->activation) ? of_out : 0;
    l->out = sqzi_arena_take(arena, last ? 0 : of_out, sizeof(sqzi_real));
    l->d_in = sqzi_arena_take(arena, n * l->n_in, sizeof(sqzi_real));
    l->sum = sqzi_arena_take(arena, sums, sizeof(sqzi_real));
    if (!sums) l->sum = NULL;
    l->d_out = sqzi_arena_take(arena, l->activation == SQZK_IDENTITY ? 0 : of_out,
                               sizeof(sqzi_real));
    if (l->kind == SQZI_LAYER_NORM)
        l->chains = sqzi_arena_take(arena, sqzi_norm_chains(n, l->n_in), sizeof(sqzi_real));
    if (l->kind != SQZI_LAYER_LINEAR) return;
    sqzi_linear_back_layout(l->linear, &l->back, arena);
    sqzi_linear_panels_layout(l->linear, n, NULL, NULL, &l->panels, arena);
    sqzi_linear_need(l->linear, SQZI_HEAD_ROWS, need);
    sqzi_linear_grad_need(l->linear, &l->back, SQZI_HEAD_ROWS, need);
}

void sqzi_head_tape_layout(sqzi_head_tape *tape, const sqzi_head *head, bool embed,
                           uint32_t max_inputs, uint32_t members, sqzi_arena *arena)
{
    struct sqzi_head_back own = {0};
    sqzi_linear_scratch need = {0};
    *tape = (sqzi_head_tape){.embed = embed};
    tape->back = sqzi_arena_take(arena, 1, sizeof *tape->back);
    if (head->has_pooler) {
        put_linear(&own, &head->pooler, SQZK_TANH, offsetof(sqzi_head_numbers, pooler));
        own.layers[0].pooler = true;
    }
    if (embed) put_steps(&own, head);
    else put_head(&own, head);
    own.pooled = sqzi_arena_take(arena, (size_t)max_inputs * head->width, sizeof(sqzi_real));
    for (uint32_t i = 0; i < own.n_layers; i++)
        lay_out_layer(&own.layers[i], i + 1 == own.n_layers, max_inputs, &need, arena);
    own.scratch = sqzi_arena_take(arena, members, sizeof *own.scratch);
    for (uint32_t i = 0; i < members; i++) {
        sqzi_grad_scratch scratch = {.rows = need};
        sqzi_grad_scratch_layout(&scratch, arena);
        if (own.scratch) own.scratch[i] = scratch;
    }
    if (tape->back) *tape->back = own;
}

/* The layers of a pass that run, from the pooled rows to the caller's. */
typedef struct chain {
    sqzi_layer_pass layers[SQZI_MOST_LAYERS];
    uint32_t n;
    sqzi_head_rows pooled, d_pooled;
} chain;

static bool runs(const sqzi_head_pass *pass, const sqzi_head_layer *layer)
{
    if (layer->pooler) return pass->pooling == SQZ_POOLING_POOLER;
    return layer->kind != SQZI_LAYER_DROPOUT || (pass->dropout && pass->dropout->head > 0);
}

/* Numbers of a linear; those of a tied head are the table's and its factor's. */
static sqzi_linear_numbers numbers_of(const sqzi_head_pass *pass, const sqzi_head_layer *layer,
                                      const sqzi_head_numbers *own,
                                      const sqzi_embedding_numbers *tied)
{
    sqzi_linear_numbers numbers;
    memcpy(&numbers, (const unsigned char *)own + layer->numbers, sizeof numbers);
    if (!pass->head->tied) return numbers;
    if (layer->linear == &pass->head->output) numbers.terms[0].b = tied->word;
    if (layer->linear == &pass->head->factor) numbers.terms[0].b = tied->factor.terms[0].b;
    return numbers;
}

static sqzi_layer_pass layer_pass(const sqzi_head_pass *pass, sqzi_head_layer *layer,
                                  const sqzi_team *team)
{
    sqzi_layer_pass p = {.pass = pass,
                         .layer = layer,
                         .scratch = &pass->tape->back->scratch[team->member],
                         .n_out = layer->n_out,
                         .normalize = layer->kind == SQZI_LAYER_NORMALIZE || pass->normalize};
    if (layer->kind == SQZI_LAYER_CUT) p.n_out = pass->dimensions;
    if (layer->kind == SQZI_LAYER_LINEAR) {
        p.masters = numbers_of(pass, layer, pass->masters, pass->tied_masters);
        p.grads = numbers_of(pass, layer, pass->grads, pass->tied_grads);
    }
    if (layer->kind == SQZI_LAYER_NORM)
        memcpy(&p.norm_grads, (const unsigned char *)pass->grads + layer->numbers,
               sizeof p.norm_grads);
    return p;
}

/* Inputs that are all tokens are read where they lie. */
static bool reads_hidden(const sqzi_head_pass *pass)
{
    return pass->pooling <= SQZ_POOLING_NONE && !pass->rows;
}

static sqzi_head_rows mutable_rows(const sqzi_real *x, size_t ld)
{
    sqzi_head_rows rows = {.ld = ld};
    memcpy(&rows.x, &x, sizeof x); /* is read alone */
    return rows;
}

/* Whom each layer reads from and writes to. d_out NULL: forward. */
static chain chain_of(const sqzi_head_pass *pass, const sqzi_real *d_out, bool want_pooled,
                      const sqzi_team *team)
{
    struct sqzi_head_back *back = pass->tape->back;
    chain c = {.pooled = {back->pooled, pass->head->width}};
    if (reads_hidden(pass)) c.pooled = mutable_rows(pass->hidden, pass->head->width);
    for (uint32_t i = 0; i < back->n_layers; i++)
        if (runs(pass, &back->layers[i]))
            c.layers[c.n++] = layer_pass(pass, &back->layers[i], team);
    for (uint32_t i = 0; i < c.n; i++) {
        sqzi_layer_pass *p = &c.layers[i];
        const bool last = i + 1 == c.n;
        p->in = i ? c.layers[i - 1].out : c.pooled;
        p->out = last ? (sqzi_head_rows){pass->out, pass->ldo}
                      : (sqzi_head_rows){p->layer->out, p->layer->n_out};
        if (i || want_pooled || p->layer->kind == SQZI_LAYER_NORM)
            p->d_in = (sqzi_head_rows){p->layer->d_in, p->layer->n_in};
        if (i) c.layers[i - 1].d_out = p->d_in;
        if (last) p->d_out = mutable_rows(d_out, pass->ldo);
    }
    c.d_pooled = c.layers[0].d_in;
    return c;
}

static bool take_inputs(const sqzi_head_pass *pass, sqzi_turn *turn, sqzi_range *rows)
{
    uint32_t part;
    if (!sqzi_take_part(turn, (pass->n + SQZI_HEAD_ROWS - 1) / SQZI_HEAD_ROWS, &part)) return false;
    rows->begin = (size_t)part * SQZI_HEAD_ROWS;
    rows->end = pass->n - rows->begin < SQZI_HEAD_ROWS ? pass->n : rows->begin + SQZI_HEAD_ROWS;
    return true;
}

static void pool_rows(const sqzi_head_pass *pass, sqzi_real *pooled, sqzi_range rows)
{
    const size_t width = pass->head->width;
    const sqzi_head_args args = {.head = pass->head,
                                 .hidden = pass->hidden,
                                 .pooling = pass->pooling,
                                 .n = pass->n,
                                 .first = pass->first,
                                 .rows = pass->rows,
                                 .skip = pass->skip};
    for (size_t i = rows.begin; i < rows.end; i++)
        sqzi_head_pool(&args, (uint32_t)i, (sqzi_range){0, width}, pooled + i * width);
}

void sqzi_head_forward(const sqzi_head_pass *pass, const sqzi_team *team)
{
    const chain c = chain_of(pass, NULL, true, team);
    sqzi_turn turn = {.team = team};
    for (sqzi_range rows; take_inputs(pass, &turn, &rows);) {
        if (!reads_hidden(pass)) pool_rows(pass, c.pooled.x, rows);
        for (uint32_t i = 0; i < c.n; i++) sqzi_layer_run(&c.layers[i], rows);
    }
}

typedef uint32_t count_units(const sqzi_layer_pass *p);
typedef void do_unit(const sqzi_layer_pass *p, uint32_t unit);

/* A stage of units of all layers. */
static void all_units(const chain *c, sqzi_turn *turn, count_units *count, do_unit *run)
{
    uint32_t counts[SQZI_MOST_LAYERS], n = 0;
    for (uint32_t i = 0; i < c->n; i++) n += counts[i] = count(&c->layers[i]);
    for (uint32_t unit; sqzi_take_part(turn, n, &unit);) {
        uint32_t i = 0;
        while (unit >= counts[i]) unit -= counts[i++];
        run(&c->layers[i], unit);
    }
}

void sqzi_head_backward(const sqzi_head_pass *pass, const sqzi_real *d_out, sqzi_real *d_hidden,
                        const sqzi_team *team)
{
    const chain c = chain_of(pass, d_out, d_hidden != NULL, team);
    const uint32_t parts = (pass->n_tokens + SQZI_HEAD_ROWS - 1) / SQZI_HEAD_ROWS;
    sqzi_turn turn = {.team = team};
    all_units(&c, &turn, sqzi_layer_pack_units, sqzi_layer_pack);
    for (sqzi_range rows; take_inputs(pass, &turn, &rows);)
        for (uint32_t i = c.n; i-- > 0;) sqzi_layer_grad_rows(&c.layers[i], rows);
    all_units(&c, &turn, sqzi_layer_panel_units, sqzi_layer_grad_panels);
    all_units(&c, &turn, sqzi_layer_weight_units, sqzi_layer_grad_weights);
    for (uint32_t part; d_hidden && sqzi_take_part(&turn, parts, &part);) {
        const size_t begin = (size_t)part * SQZI_HEAD_ROWS;
        const sqzi_range rows = {begin, pass->n_tokens - begin < SQZI_HEAD_ROWS
                                            ? pass->n_tokens
                                            : begin + SQZI_HEAD_ROWS};
        sqzi_pooling_grad(pass, c.d_pooled, d_hidden, rows);
    }
}
