/* SPDX-License-Identifier: Apache-2.0 */
/* A trained encoder over a batch, forward and backward: the stages of a team. */
#include "nn/encoder_back_grad.h"

enum { FEW_STRIPS = 2 }; /* of SQZI_BACK_ROWS a member: then strips are single chains */

/* A pass as a member sees it. */
typedef struct pass_run {
    const sqzi_encoder_pass *pass;
    struct sqzi_encoder_back *back;
    sqzi_back_scratch *scratch;
    sqzi_run run; /* of the forward; its turn is that of both directions */
} pass_run;

static pass_run begin(const sqzi_encoder_pass *pass, const sqzi_keep *keep, const sqzi_team *team)
{
    sqzi_workspace *w = pass->workspace;
    return (pass_run){.pass = pass,
                      .back = pass->tape->back,
                      .scratch = &pass->tape->back->scratch[team->member],
                      .run = {.encoder = pass->encoder,
                              .batch = pass->batch,
                              .keep = keep,
                              .workspace = w,
                              .scratch = &w->scratch[team->member],
                              .ffn = w->ffn + team->member * w->strip_rows * w->ffn_width,
                              .x = pass->hidden,
                              .ldx = pass->encoder->width,
                              .turn = {.team = team}}};
}

static bool take(pass_run *r, uint32_t parts, uint32_t *part)
{
    return sqzi_take_part(&r->run.turn, parts, part);
}

/* A member's rows of a stage: whole chains. */
static size_t strip_rows(const pass_run *r)
{
    const size_t few = (size_t)FEW_STRIPS * SQZI_BACK_ROWS * r->run.turn.team->members;
    return r->pass->batch->n_tokens <= few ? SQZI_GRAD_ROWS : SQZI_BACK_ROWS;
}

static bool take_rows(pass_run *r, sqzi_range *rows)
{
    const size_t strip = strip_rows(r), n = r->pass->batch->n_tokens;
    uint32_t part;
    if (!take(r, (uint32_t)((n + strip - 1) / strip), &part)) return false;
    rows->begin = part * strip;
    rows->end = n - rows->begin < strip ? n : rows->begin + strip;
    return true;
}

/* A head of a sequence. */
static bool take_head(pass_run *r, uint32_t i, uint32_t *sequence, uint32_t *head)
{
    const uint32_t heads = r->pass->encoder->blocks[i].heads;
    uint32_t part;
    if (!take(r, heads * r->pass->batch->n_sequences, &part)) return false;
    *sequence = part / heads;
    *head = part % heads;
    return true;
}

/* What a narrow block keeps; NULL: block i is none, and there is nothing. */
static const sqzi_block_halves *halves_of(const pass_run *r, uint32_t i)
{
    const sqzi_block_halves *halves = &r->pass->tape->halves[i];
    return halves->q ? halves : NULL;
}

/* Rows of block i; of a narrow one q, k and v are those that it keeps. */
static sqzi_block_rows rows_of_block(const pass_run *r, uint32_t i, size_t strip_row)
{
    sqzi_block_rows rows = sqzi_block_rows_of(&r->run, i, strip_row);
    const sqzi_block_halves *h = halves_of(r, i);
    if (!h) return rows;
    rows.q.bf16 = h->q;
    rows.k.bf16 = h->k;
    rows.v.bf16 = h->v;
    rows.q.ld = rows.k.ld = rows.v.ld = r->pass->encoder->blocks[i].attn_q.n_out;
    return rows;
}

/* out = x + dropout(linear(from)), of some rows; without dropout all is one gemm. */
static void run_residual(const pass_run *r, uint32_t i, sqzi_dropout_site site,
                         const sqzi_linear *linear, const sqzi_rows *from, const sqzi_rows *x,
                         const sqzi_rows *out, sqzi_range rows)
{
    const sqzi_mask mask = sqzi_block_mask(r->pass, i, site);
    sqzi_linear_args args = {.m = rows.end - rows.begin,
                             .x = sqzi_row(from, rows.begin),
                             .x_bf16 = sqzi_row_bf16(from, rows.begin),
                             .ldx = from->ld,
                             .y = sqzi_row(out, rows.begin),
                             .ldy = out->ld};
    sqzi_real *own = r->scratch->rows;
    if (!mask.share) {
        args.residual = sqzi_row(x, rows.begin);
        args.ldr = x->ld;
    } else {
        args.y = own;
        args.ldy = linear->n_out;
    }
    if (!sqzi_linear_run(linear, &args, &r->run.scratch->linear))
        r->run.workspace->numeric_error = true;
    if (mask.share)
        sqzi_mask_batch(&mask, r->pass->batch->first,
                        &(sqzi_mask_rows){.row = rows.begin,
                                          .m = args.m,
                                          .n = linear->n_out,
                                          .x = own,
                                          .ldx = linear->n_out,
                                          .residual = sqzi_row(x, rows.begin),
                                          .ldr = x->ld,
                                          .out = sqzi_row(out, rows.begin),
                                          .ldo = out->ld});
}

/* Everything of a block behind its attention, of at most a strip of the forward. */
static void finish_rows(const pass_run *r, uint32_t i, sqzi_range rows)
{
    const sqzi_block *block = &r->pass->encoder->blocks[i];
    const sqzi_block_halves *halves = halves_of(r, i);
    const size_t m = rows.end - rows.begin, ffn = block->ffn_width;
    const sqzi_range strip = rows;
    sqzi_block_rows at = rows_of_block(r, i, rows.begin);
    if (halves) {
        at.context.bf16 = halves->context;
        at.context.ld = at.q.ld;
    }
    run_residual(r, i, SQZI_SITE_OUTPUT, &block->attn_output, &at.context, &at.x, &at.attn_sum,
                 strip);
    sqzi_run_norm(&r->run, &block->attn_norm, &at.attn_sum, &at.attended, strip);
    sqzi_run_rows(&r->run, &block->ffn_up, &at.attended, &at.up, strip);
    if (halves)
        sqzi_round_rows(&block->ffn_down, m, ffn, sqzi_row(&at.up, rows.begin), ffn,
                        halves->up + rows.begin * ffn, ffn);
    r->pass->encoder->kernels->activate(block->activation, m * ffn, sqzi_row(&at.up, rows.begin),
                                        sqzi_row(&at.inner, rows.begin));
    run_residual(r, i, SQZI_SITE_DOWN, &block->ffn_down, &at.inner, &at.attended, &at.ffn_sum,
                 strip);
    sqzi_run_norm(&r->run, &block->ffn_norm, &at.ffn_sum, &at.out, strip);
}

static void attend_dropped(const pass_run *r, uint32_t i, uint32_t sequence, uint32_t head)
{
    const sqzi_block_rows at = rows_of_block(r, i, 0);
    sqzi_real *scores = r->run.keep->blocks[i].scores;
    sqzi_attention_dropped(&(sqzi_attention_grad_args){
        .kernels = r->pass->encoder->kernels,
        .grad_kernels = r->pass->kernels,
        .block = &r->pass->encoder->blocks[i],
        .scratch = &r->scratch->attention,
        .mask = sqzi_block_mask(r->pass, i, SQZI_SITE_WEIGHTS),
        .sequence = sequence,
        .head = head,
        .begin = r->pass->batch->first[sequence],
        .end = r->pass->batch->first[sequence + 1],
        .q = at.q,
        .k = at.k,
        .v = at.v,
        .context = at.context,
        .scores = scores ? scores + sqzi_scores_before(r->pass, i, sequence, head) : NULL});
}

/* The context of a narrow block, as attn_output reads it. */
static void round_context(const pass_run *r, uint32_t i, uint32_t sequence, uint32_t head)
{
    const sqzi_block *block = &r->pass->encoder->blocks[i];
    const uint32_t *first = r->pass->batch->first;
    const size_t begin = first[sequence], width = block->head_width,
                 ld = (size_t)block->heads * width, column = head * width;
    const sqzi_block_rows at = rows_of_block(r, i, 0);
    sqzi_round_rows(&block->attn_output, first[sequence + 1] - begin, width,
                    sqzi_row(&at.context, begin) + column, at.context.ld,
                    halves_of(r, i)->context + begin * ld + column, ld);
}

static void attend(const pass_run *r, uint32_t i, uint32_t sequence, uint32_t head)
{
    const sqzi_block_rows at = rows_of_block(r, i, 0);
    if (sqzi_block_mask(r->pass, i, SQZI_SITE_WEIGHTS).share) attend_dropped(r, i, sequence, head);
    else if (!halves_of(r, i))
        sqzi_block_context(&r->run, i, sequence, sequence + 1, (sqzi_range){head, head + 1});
    else
        sqzi_attention_run(&(sqzi_attention_args){.kernels = r->pass->encoder->kernels,
                                                  .block = &r->pass->encoder->blocks[i],
                                                  .scratch = &r->run.scratch->attention,
                                                  .head = head,
                                                  .begin = r->pass->batch->first[sequence],
                                                  .end = r->pass->batch->first[sequence + 1],
                                                  .q = at.q,
                                                  .k = at.k,
                                                  .v = at.v,
                                                  .context = at.context});
    if (halves_of(r, i)) round_context(r, i, sequence, head);
}

/* y = linear(x) of some rows: as bf16 where y is, by way of its place in the workspace where the
 * gemm writes f32 alone. */
static void run_projection(const pass_run *r, const sqzi_linear *linear, const sqzi_rows *x,
                           const sqzi_rows *y, sqzi_range rows)
{
    const size_t n = linear->n_out;
    const sqzi_rows whole = {.first = y->first, .ld = n};
    if (!y->bf16 || sqzi_linear_writes_bf16(linear)) {
        sqzi_run_rows(&r->run, linear, x, y, rows);
        return;
    }
    sqzi_run_rows(&r->run, linear, x, &whole, rows);
    sqzi_round_rows(linear, rows.end - rows.begin, n, sqzi_row(&whole, rows.begin), n,
                    sqzi_row_bf16(y, rows.begin), y->ld);
}

/* Block i in stages of this turn: with dropout, or once more; with equal bits where nothing is
 * dropped. */
static void run_block(pass_run *r, uint32_t i)
{
    const sqzi_block *block = &r->pass->encoder->blocks[i];
    const sqzi_block_rows at = rows_of_block(r, i, 0);
    sqzi_range rows;
    uint32_t sequence, head;
    while (take_rows(r, &rows)) {
        run_projection(r, &block->attn_q, &at.x, &at.q, rows);
        run_projection(r, &block->attn_k, &at.x, &at.k, rows);
        run_projection(r, &block->attn_v, &at.x, &at.v, rows);
    }
    while (take_head(r, i, &sequence, &head)) attend(r, i, sequence, head);
    while (take_rows(r, &rows)) finish_rows(r, i, rows);
}

/* The forward is not what a session runs: something is dropped, a block is narrow, or it meets
 * int8 rows, whose activation a session computes within their gemm, nearly: once more it is exact,
 * so it is the first time. */
static bool differs(const pass_run *r)
{
    const sqzi_dropout *d = r->pass->dropout;
    bool own = false;
    for (uint32_t i = 0; i < r->pass->encoder->n_blocks && !own; i++)
        own = halves_of(r, i) || r->pass->encoder->blocks[i].ffn_up.terms[0].b.grad_gemm;
    return own || (d && (d->hidden > 0 || d->attention > 0));
}

void sqzi_encoder_forward(const sqzi_encoder_pass *pass, const sqzi_team *team)
{
    pass_run r = begin(pass, &pass->tape->keep, team);
    if (!differs(&r)) {
        sqzi_encoder_run(pass->encoder, pass->batch, r.run.keep, pass->workspace, pass->hidden,
                         pass->encoder->width, team);
        return;
    }
    for (sqzi_range rows; take_rows(&r, &rows);) sqzi_embedding_dropped(&r.run, pass, rows);
    for (uint32_t i = 0; i < pass->encoder->n_blocks; i++) run_block(&r, i);
}

/* Block i once more, with all that its backward reads. */
static const sqzi_block_keep *run_again(pass_run *r, uint32_t i)
{
    const sqzi_keep keep = {.blocks = r->back->again}, *forward = r->run.keep;
    r->run.keep = &keep;
    run_block(r, i);
    r->run.keep = forward;
    return &r->back->again[i];
}

/* Block i with what it reads and writes; behind it, d of its outputs lies in *d, and that of its
 * inputs comes to lie in *other, where anything before it is trained. */
static sqzi_block_pass block_pass(const pass_run *r, uint32_t i, const sqzi_block_keep *keep,
                                  sqzi_block_back_rows *rows, sqzi_real *d, sqzi_real *other)
{
    const sqzi_encoder_pass *pass = r->pass;
    const sqzi_block_halves *halves = halves_of(r, i);
    const sqzi_workspace *w = pass->workspace; /* the forward is over: its rows are free */
    *rows = r->back->rows;
    rows->dq = w->q;
    rows->dk = w->k;
    rows->dv = w->v;
    if (pass->encoder->blocks[i].attn_q.n_out <= pass->encoder->width)
        rows->d_context = w->attended;
    if (halves) rows->d_down = rows->d_output = NULL;
    else rows->x_bf16 = NULL;
    if (!sqzi_block_mask(pass, i, SQZI_SITE_DOWN).share) rows->d_down = d;
    if (!sqzi_block_mask(pass, i, SQZI_SITE_OUTPUT).share) rows->d_output = rows->d_attn;
    if (keep->x) {
        rows->x = keep->x;
        rows->x_bf16 = NULL;
    }
    return (sqzi_block_pass){.pass = pass,
                             .i = i,
                             .back = &r->back->blocks[i],
                             .rows = rows,
                             .keep = keep,
                             .halves = halves,
                             .scratch = r->scratch,
                             .x_sum = keep->x ? NULL : pass->tape->blocks[i - 1].ffn_sum,
                             .x_norm = keep->x ? NULL : &pass->encoder->blocks[i - 1].ffn_norm,
                             .d_out = d,
                             .d_x = i + 1 > pass->tape->first_trained ? other : NULL};
}

static sqzi_embedding_pass embedding_pass(const pass_run *r, sqzi_real *d)
{
    return (sqzi_embedding_pass){
        .pass = r->pass, .back = &r->back->embedding, .scratch = r->scratch, .d_x = d};
}

/* Matrices turned of what runs backward before block i: a block, the embedding, or nothing. */
static uint32_t pack_units_before(const pass_run *r, uint32_t i)
{
    const sqzi_embedding_pass embedding = embedding_pass(r, NULL);
    if (i + 1 <= r->pass->tape->first_trained) return 0;
    return i ? sqzi_block_pack_units(&r->back->blocks[i - 1])
             : sqzi_embedding_pack_units(&embedding);
}

static void pack_before(const pass_run *r, uint32_t i, uint32_t unit)
{
    const sqzi_embedding_pass embedding = embedding_pass(r, NULL);
    if (i) sqzi_block_pack(&r->back->blocks[i - 1], &r->pass->masters->blocks[i - 1], unit);
    else sqzi_embedding_pack(&embedding, unit);
}

static void block_backward(pass_run *r, uint32_t i, sqzi_real *d, sqzi_real *other)
{
    const sqzi_block_keep *keep = r->pass->tape->recompute ? run_again(r, i)
                                                           : &r->pass->tape->blocks[i];
    sqzi_block_back_rows rows;
    const sqzi_block_pass p = block_pass(r, i, keep, &rows, d, other);
    const uint32_t n_panels = sqzi_block_panel_units(&p), n_weights = sqzi_block_weight_units(&p),
                   n_packs = pack_units_before(r, i);
    sqzi_range strip;
    uint32_t sequence, head, unit;
    while (take_rows(r, &strip)) sqzi_block_grad_rows(&p, strip);
    while (take_head(r, i, &sequence, &head)) sqzi_block_grad_attention(&p, sequence, head);
    while (take_rows(r, &strip)) sqzi_block_grad_inputs(&p, strip);
    while (take(r, n_panels, &unit)) sqzi_block_grad_panels(&p, unit);
    while (take(r, n_weights + n_packs, &unit))
        if (unit < n_weights) sqzi_block_grad_weights(&p, unit);
        else pack_before(r, i, unit - n_weights);
}

static void embedding_backward(pass_run *r, sqzi_real *d)
{
    const sqzi_embedding_pass p = embedding_pass(r, d);
    const size_t strip = strip_rows(r), n = r->pass->batch->n_tokens;
    const uint32_t strips = (uint32_t)((n + strip - 1) / strip);
    uint32_t unit;
    while (take(r, strips + 1, &unit)) /* the sort beside the rows */
        if (unit == strips) sqzi_embedding_sort(&p);
        else
            sqzi_embedding_grad_rows(
                &p, (sqzi_range){unit * strip, n - unit * strip < strip ? n : (unit + 1) * strip});
    const uint32_t n_panels = sqzi_embedding_panel_units(&p),
                   n_weights = sqzi_embedding_weight_units(&p);
    while (take(r, n_panels, &unit)) sqzi_embedding_grad_panels(&p, unit);
    while (take(r, n_weights, &unit)) sqzi_embedding_grad_weights(&p, unit);
}

void sqzi_encoder_backward(const sqzi_encoder_pass *pass, sqzi_real *d_hidden,
                           const sqzi_team *team)
{
    const uint32_t n = pass->encoder->n_blocks, first = pass->tape->first_trained;
    pass_run r = begin(pass, &pass->tape->keep, team);
    sqzi_real *d = d_hidden, *other = pass->hidden;
    if (first > n) return;
    for (uint32_t unit; take(&r, pack_units_before(&r, n), &unit);) pack_before(&r, n, unit);
    for (uint32_t i = n; i-- > 0 && i + 1 >= first;) {
        block_backward(&r, i, d, other);
        sqzi_real *const next = other;
        other = d;
        d = next;
    }
    if (first == 0) embedding_backward(&r, d);
}
