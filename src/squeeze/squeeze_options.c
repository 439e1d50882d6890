/* SPDX-License-Identifier: Apache-2.0 */
/* Levers by hand: options checked against the model and each other, and made a plan. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "nn/tensor_list.h"
#include "squeeze/low_rank.h"
#include "squeeze/neurons.h"
#include "squeeze/squeeze_history.h"
#include "squeeze/squeeze_plan.h"

/* ---- what can be wrong without a model ---- */

bool sqzi_squeeze_has_lever(const sqz_squeeze_options *o)
{
    return o->n_vocabulary || o->drop_impossible || o->layers || o->layers_first ||
           o->layers_every || o->heads > 0 || o->neurons > 0 || o->groups > 1 || o->rank > 0 ||
           o->ranks || o->embedding != SQZ_EMBEDDING_KEEP || o->embedding_bits ||
           o->position_bits || o->bits || o->static_width || o->budget || o->time > 0;
}

bool sqzi_squeeze_changes_numbers(const sqz_squeeze_options *o)
{
    sqz_squeeze_options others = *o;
    others.n_vocabulary = 0;
    others.drop_impossible = 0;
    return sqzi_squeeze_has_lever(&others);
}

static sqz_status check_share(const char *what, double share, sqz_error *error)
{
    if (share >= 0 && share <= 1) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0,
                     "%s: a share is above 0 %% and at most 100 %%, and this is neither", what);
}

static sqz_status check_bits(const char *what, uint32_t bits, bool table, sqz_error *error)
{
    const bool known = bits == 0 || bits == 3 || bits == 4 || bits == 8 ||
                       (table && (bits == 2 || bits == 32));
    if (known) return SQZ_OK;
    return sqzi_fail(error, SQZ_EINVAL, 0, "%s: %u bits are none of %s", what, bits,
                     table ? "8, 4, 3, 2 and 32 (as they are)" : "8, 4 and 3");
}

sqz_status sqzi_squeeze_check_alone(const sqz_squeeze_options *o, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    FAIL_IF((o->layers != NULL) + (o->layers_first > 0) + (o->layers_every > 0) > 1, SQZ_EINVAL, 0,
            "layers: a list, the first or every so many: one of the three");
    FAIL_IF(o->budget && o->plain, SQZ_EINVAL, 0,
            "budget: what is chosen by what layers read has no plain form");
    FAIL_IF(o->time > 0 && o->plain, SQZ_EINVAL, 0,
            "time: what is chosen by what layers read has no plain form");
    FAIL_IF(!(o->time > 0) && (o->at_batch || o->at_length), SQZ_EINVAL, 0,
            "at: a batch and a length that time is measured at, and no time is asked for");
    FAIL_IF(o->depth &&
                (!(o->budget || o->time > 0) || o->layers || o->layers_first || o->layers_every),
            SQZ_EINVAL, 0,
            "depth: how many blocks a budget or a time leaves, and there is none, or layers are "
            "named");
    FAIL_IF(o->dense_output && o->groups < 2, SQZ_EINVAL, 0,
            "dense_output: groups leave attn_output whole, and there are none");
    TRY(check_share("time", o->time, error));
    FAIL_IF(o->static_width && (!o->layers || o->n_layers), SQZ_EINVAL, 0,
            "static_width: a static table has no blocks: layers must be an empty list");
    FAIL_IF(o->static_width &&
                (o->heads > 0 || o->neurons > 0 || o->rank > 0 || o->ranks || o->groups > 1 ||
                 o->position_bits || o->budget || o->time > 0 || o->plain || o->cache ||
                 o->keep_pooler || o->embedding == SQZ_EMBEDDING_WIDTH),
            SQZ_EINVAL, 0,
            "static_width: a static table has no heads, neurons, linears, positions and pooler, "
            "and no narrower one inside it; vocabulary, bits and product quantisation go with it");
    TRY(check_share("heads", o->heads, error));
    TRY(check_share("neurons", o->neurons, error));
    TRY(check_share("rank", o->rank, error));
    TRY(check_bits("bits", o->bits, false, error));
    TRY(check_bits("embedding", o->embedding_bits, true, error));
    TRY(check_bits("positions", o->position_bits, true, error));
    FAIL_IF((unsigned)o->embedding > SQZ_EMBEDDING_PRODUCT, SQZ_EINVAL, 0,
            "embedding: form %d is not known", (int)o->embedding);
    FAIL_IF(o->embedding == SQZ_EMBEDDING_PRODUCT && o->embedding_bits, SQZ_EINVAL, 0,
            "embedding: product-quantised rows are bytes; bits are for rows that are not");
    FAIL_IF(o->embedding == SQZ_EMBEDDING_KEEP && o->embedding_size, SQZ_EINVAL, 0,
            "embedding: a size of %u is for a form that has one", o->embedding_size);
fail:
    return status;
}

/* ---- blocks ---- */

/* The first ones, or one of so many. */
static sqz_status choose_by_rule(const sqz_squeeze_options *o, sqzi_squeeze_plan *plan,
                                 sqz_error *error)
{
    const uint32_t n = plan->n_blocks, step = o->layers_every ? o->layers_every : 1,
                   end = o->layers_first ? o->layers_first : n;
    if (end > n || (o->layers_every && step > n))
        return sqzi_fail(error, SQZ_EINVAL, 0, "layers: %s:%u of a model with %u blocks",
                         o->layers_first ? "first" : "every", o->layers_first ? end : step, n);
    plan->n_blocks = 0;
    for (uint32_t i = 0; i < end; i += step) plan->blocks[plan->n_blocks++] = plan->blocks[i];
    return SQZ_OK;
}

static sqz_status choose_layers(const sqz_squeeze_options *o, sqzi_squeeze_plan *plan,
                                sqz_error *error)
{
    if (o->depth > plan->n_blocks)
        return sqzi_fail(error, SQZ_EINVAL, 0, "depth: %u blocks are to stay, the model has %u",
                         o->depth, plan->n_blocks);
    if (!o->layers) return choose_by_rule(o, plan, error);
    for (size_t i = 0; i < o->n_layers; i++) {
        if (o->layers[i] >= plan->n_blocks)
            return sqzi_fail(error, SQZ_EINVAL, 0,
                             "layers: %u is no block of the model, whose blocks are 0 to %u",
                             o->layers[i], plan->n_blocks - 1);
        if (i && o->layers[i] <= o->layers[i - 1])
            return sqzi_fail(error, SQZ_EINVAL, 0, "layers: %u follows %u: they ascend",
                             o->layers[i], o->layers[i - 1]);
    }
    for (size_t i = 0; i < o->n_layers; i++) plan->blocks[i] = plan->blocks[o->layers[i]];
    plan->n_blocks = (uint32_t)o->n_layers;
    return SQZ_OK;
}

/* The multiple of `of` that is nearest to the share of n, at least one of them; all where none
 * lies below. */
static uint32_t count_of(double share, uint32_t n, uint32_t of)
{
    if (!(share > 0) || share >= 1) return n;
    const uint32_t whole = (uint32_t)rint(share * (double)n / (double)of) * of;
    return whole < of ? (of < n ? of : n) : whole < n ? whole : n;
}

static uint32_t least_common(uint32_t a, uint32_t b)
{
    uint32_t x = a, y = b;
    while (y) {
        const uint32_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Groups that the linear has in the model; of a factored one, those of its factors. */
static uint32_t groups_of(const sqzi_linear *linear)
{
    return linear->n_terms ? linear->terms[0].b.groups : 1;
}

static void choose_block(const sqz_model *model, const sqz_squeeze_options *o, sqzi_block_plan *b)
{
    const sqzi_block *from = &model->encoder.blocks[b->source];
    const uint32_t up = groups_of(&from->ffn_up), down = groups_of(&from->ffn_down),
                   multiple = least_common(SQZI_NEURONS_MULTIPLE, least_common(up, down));
    b->heads = count_of(o->heads, from->heads, 1);
    b->neurons = count_of(o->neurons, from->ffn_width, multiple);
    for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
        b->linears[j].storage = sqzi_storage_of_bits(o->bits);
}

/* ---- groups and ranks ---- */

static void sides_of(const sqz_model *model, const sqzi_block_plan *b, uint32_t j, uint32_t *n_in,
                     uint32_t *n_out)
{
    sqzi_block narrowed = model->encoder.blocks[b->source];
    narrowed.heads = b->heads;
    narrowed.ffn_width = b->neurons;
    sqzi_block_linear_sides(&narrowed, model->encoder.width, j, n_in, n_out);
}

/* The largest number of groups up to `groups` that divides both. */
static uint32_t most_groups(uint32_t groups, uint32_t n_in, uint32_t n_out)
{
    while (n_in % groups || n_out % groups) groups--;
    return groups;
}

/* The sides of what two factors replace: of a linear in groups that stay, those of one group. */
static void factored_sides(const sqz_model *model, const sqzi_block_plan *b, uint32_t j,
                           uint32_t *n_in, uint32_t *n_out)
{
    sqzi_block from = model->encoder.blocks[b->source];
    const sqzi_linear *linear = sqzi_block_linear(&from, j);
    const bool grouped = b->linears[j].groups < 2 && linear->n_terms == 1 &&
                         !linear->terms[0].a.packed;
    const uint32_t groups = grouped ? linear->terms[0].b.groups : 1;
    sides_of(model, b, j, n_in, n_out);
    *n_in /= groups;
    *n_out /= groups;
}

static sqz_status choose_groups(const sqz_model *model, const sqz_squeeze_options *o,
                                sqzi_block_plan *b, uint32_t j, sqz_error *error)
{
    uint32_t n_in, n_out;
    sides_of(model, b, j, &n_in, &n_out);
    if (o->groups < 2 || (o->dense_output && j == SQZI_ATTN_OUTPUT)) return SQZ_OK;
    if (n_in % o->groups || n_out % o->groups)
        return sqzi_fail(
            error, SQZ_EINVAL, 0,
            "groups: %u do not divide the %u inputs and %u outputs of blk.%u.%s; %u do", o->groups,
            n_in, n_out, b->source, sqzi_block_linear_name(j), most_groups(o->groups, n_in, n_out));
    b->linears[j].groups = o->groups;
    return SQZ_OK;
}

/* The share of a linear's parameters as a rank; 0: two factors would be no smaller. */
static uint32_t rank_of(double share, uint32_t n_in, uint32_t n_out)
{
    const double sides = (double)n_in + n_out, whole = (double)n_in * n_out;
    const uint32_t rank = sqzi_rank_of_share(share, n_out, n_in);
    return share > 0 && share < 1 && rank * sides < whole ? rank : 0;
}

/* One item of `ranks`. */
typedef struct rank_item {
    const char *text;
    size_t n;
    int64_t block; /* -1: all */
    uint32_t linear, rank;
} rank_item;

static bool take_number(const char **at, const char *end, uint32_t *number)
{
    const char *begin = *at;
    uint64_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && value <= UINT32_MAX; (*at)++)
        value = value * 10 + (uint64_t)(**at - '0');
    *number = (uint32_t)value;
    return *at > begin && value <= UINT32_MAX;
}

static bool read_item(rank_item *item)
{
    const char *at = item->text, *const end = at + item->n;
    uint32_t block;
    item->block = -1;
    if (take_number(&at, end, &block)) {
        if (at == end || *at++ != '.') return false;
        item->block = block;
    }
    for (item->linear = 0; item->linear < SQZI_BLOCK_LINEARS; item->linear++) {
        const char *name = sqzi_block_linear_name(item->linear);
        const size_t n = strlen(name);
        if ((size_t)(end - at) <= n || memcmp(at, name, n) != 0 || at[n] != '=') continue;
        at += n + 1;
        return take_number(&at, end, &item->rank) && at == end;
    }
    return false;
}

static sqz_status set_rank(const sqz_model *model, const rank_item *item, sqzi_squeeze_plan *plan,
                           sqz_error *error)
{
    bool fits = false;
    for (uint32_t i = 0; i < plan->n_blocks; i++) {
        sqzi_block_plan *b = &plan->blocks[i];
        uint32_t n_in, n_out;
        if (item->block >= 0 && item->block != (int64_t)b->source) continue;
        fits = true;
        factored_sides(model, b, item->linear, &n_in, &n_out);
        const uint64_t whole = (uint64_t)n_in * n_out, sides = (uint64_t)n_in + n_out;
        if (item->rank * sides >= whole)
            return sqzi_fail(
                error, SQZ_EINVAL, 0,
                "ranks: '%.*s': factors of rank %u are no smaller than %u x %u numbers; "
                "at most %llu is",
                (int)item->n, item->text, item->rank, n_out, n_in,
                (unsigned long long)((whole - 1) / sides));
        b->linears[item->linear].rank = item->rank;
    }
    return fits ? SQZ_OK
                : sqzi_fail(error, SQZ_EINVAL, 0, "ranks: '%.*s': block %lld is none that stays",
                            (int)item->n, item->text, (long long)item->block);
}

static sqz_status choose_ranks(const sqz_model *model, const char *ranks, sqzi_squeeze_plan *plan,
                               sqz_error *error)
{
    for (const char *at = ranks; at;) {
        const char *comma = strchr(at, ',');
        rank_item item = {.text = at, .n = comma ? (size_t)(comma - at) : strlen(at)};
        if (!read_item(&item))
            return sqzi_fail(error, SQZ_EINVAL, 0,
                             "ranks: '%.*s' is not LINEAR=RANK or BLOCK.LINEAR=RANK, LINEAR of "
                             "attn_q, attn_k, attn_v, attn_output, ffn_up, ffn_down",
                             (int)(item.n < 80 ? item.n : 80), item.text);
        const sqz_status status = set_rank(model, &item, plan, error);
        if (status != SQZ_OK) return status;
        at = comma ? comma + 1 : NULL;
    }
    return SQZ_OK;
}

/* ---- tables ---- */

static sqzi_storage table_storage(uint32_t bits, uint32_t linears)
{
    return sqzi_storage_of_bits(bits ? bits : linears ? 8 : 32);
}

static sqz_status choose_tables(const sqz_model *model, const sqz_squeeze_options *o,
                                sqzi_squeeze_plan *plan, sqz_error *error)
{
    const sqzi_embedding *e = &model->encoder.embedding;
    const bool factorised = e->factorised && !o->static_width;
    const uint32_t width = o->static_width ? o->static_width : e->width;
    if (o->static_width > model->info.dimensions)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "static_width: the model's vectors have %u dimensions, so a row of a "
                         "static table has at most as many, not %u",
                         model->info.dimensions, o->static_width);
    if (o->embedding != SQZ_EMBEDDING_KEEP && (factorised || o->embedding_size < 1))
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         factorised ? "embedding: it is factorised already: begin with the model "
                                      "that this one was made from"
                                    : "embedding: a size of 0 is none");
    if (o->embedding == SQZ_EMBEDDING_WIDTH && o->embedding_size >= width)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "embedding: a width of %u is not below the table's %u", o->embedding_size,
                         width);
    if (o->embedding == SQZ_EMBEDDING_PRODUCT && width % o->embedding_size)
        return sqzi_fail(error, SQZ_EINVAL, 0,
                         "embedding: %u parts do not divide a width of %u; %u do",
                         o->embedding_size, width,
                         o->embedding_size < width ? most_groups(o->embedding_size, width, 0)
                                                   : width);
    plan->embedding = o->embedding;
    plan->embedding_size = o->embedding_size;
    plan->static_width = o->static_width;
    plan->word = o->static_width && !o->embedding_bits ? sqzi_storage_of_bits(o->bits)
                                                       : table_storage(o->embedding_bits, o->bits);
    plan->position = table_storage(o->position_bits, o->bits);
    plan->projection = sqzi_storage_of_bits(o->bits);
    plan->factor = plan->others = sqzi_storage_of_bits(o->bits ? 8 : 32);
    plan->drop_pooler = !o->keep_pooler && sqzi_squeeze_pooler_is_idle(model);
    return SQZ_OK;
}

sqz_status sqzi_squeeze_plan_by_hand(const sqz_model *model, const sqz_squeeze_options *o,
                                     sqzi_squeeze_plan *plan, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_squeeze_check_alone(o, error));
    plan->plain = o->plain != 0;
    TRY(choose_layers(o, plan, error));
    FAIL_IF(!plan->n_blocks &&
                (o->heads > 0 || o->neurons > 0 || o->rank > 0 || o->ranks || o->groups > 1),
            SQZ_EINVAL, 0,
            "layers: no block stays: heads, neurons, ranks and groups are of blocks");
    for (uint32_t i = 0; i < plan->n_blocks; i++) {
        sqzi_block_plan *b = &plan->blocks[i];
        choose_block(model, o, b);
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            uint32_t n_in, n_out;
            TRY(choose_groups(model, o, b, j, error));
            factored_sides(model, b, j, &n_in, &n_out);
            b->linears[j].rank = rank_of(o->rank, n_in, n_out);
        }
    }
    TRY(choose_ranks(model, o->ranks, plan, error));
    TRY(choose_tables(model, o, plan, error));
fail:
    return status;
}
