/* SPDX-License-Identifier: Apache-2.0 */
/* Forms in words, and the bytes of all tensors that a linear or table has. */
#include "squeeze/squeeze_report.h"

#include <math.h>
#include <stdio.h>

#include "base/error.h"

/* ---- words ---- */

/* "1536x384", "rank 96", "4 groups", "4 groups + rank 24" and what that is stored as. */
static void describe_linear(const sqzi_weight_linear *linear, const char *storage,
                            char text[SQZI_FORM_TEXT])
{
    char form[2][24] = {"", ""};
    for (uint32_t t = 0; t < linear->n_terms; t++) {
        const sqzi_weight_term *term = &linear->terms[t];
        const unsigned groups = term->b.groups;
        if (term->a.rows && groups > 1)
            snprintf(form[t], sizeof form[t], "rank %u in %u", (unsigned)term->b.columns, groups);
        else if (term->a.rows)
            snprintf(form[t], sizeof form[t], "rank %u", (unsigned)term->b.columns);
        else if (groups > 1) snprintf(form[t], sizeof form[t], "%u groups", groups);
    }
    snprintf(text, SQZI_FORM_TEXT, "%ux%u %s%s%s%s%s", (unsigned)linear->n_out,
             (unsigned)linear->n_in, form[0], form[1][0] ? " + " : "", form[1],
             form[0][0] ? " " : "", storage);
}

/* Names of the source's types, by sqzi_type; packed rows by their bits. */
static const char *stored_as(const sqz_model *model, const char *name, const char *ending)
{
    static const char *const types[] = {"F32", "F16", "BF16", "int8"};
    static const char *const packed[] = {"", "", "int2", "int3", "int4"};
    char full[SQZI_STORED_NAME];
    uint32_t bits = 0;
    snprintf(full, sizeof full, "%s%s", name, ending);
    const sqzi_gguf_tensor *t = sqzi_stored_tensor(model->gguf, full, &bits);
    if (!t) return NULL;
    return bits ? packed[bits] : t->type <= SQZI_S8 ? types[t->type] : "";
}

static const char *storage_before(const sqz_model *model, const char *name)
{
    const char *whole = stored_as(model, name, ".weight");
    const char *factor = whole ? whole : stored_as(model, name, ".b");
    return factor ? factor : "";
}

/* ---- bytes ---- */

/* Of all tensors of the source whose names begin with "NAME.". */
static uint64_t bytes_before(const sqz_model *model, const char *name)
{
    const size_t n = strlen(name);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sqzi_gguf_n_tensors(model->gguf); i++) {
        const sqzi_gguf_tensor *t = sqzi_gguf_tensor_at(model->gguf, i);
        if (t->name.n > n && memcmp(t->name.bytes, name, n) == 0 && t->name.bytes[n] == '.')
            bytes += t->bytes;
    }
    return bytes;
}

/* ---- parts ---- */

static void begin_linear(const sqz_model *model, const sqzi_weight_linear *linear, const char *name,
                         sqzi_squeeze_part *part)
{
    snprintf(part->name, sizeof part->name, "%s", name);
    describe_linear(linear, storage_before(model, name), part->from);
    part->bytes_before = bytes_before(model, name);
}

static void begin_table(const sqz_model *model, const sqzi_weight_matrix *table,
                        const sqzi_weight_matrix *factor, const char *name, sqzi_squeeze_part *part)
{
    char width[32] = "";
    if (table->rows == 0) return;
    snprintf(part->name, sizeof part->name, "%s", name);
    if (factor && factor->rows) snprintf(width, sizeof width, " to %u", (unsigned)factor->rows);
    snprintf(part->from, sizeof part->from, "%ux%u%s %s", (unsigned)table->rows,
             (unsigned)table->columns, width, storage_before(model, name));
    part->bytes_before = bytes_before(model, name);
}

sqz_status sqzi_squeeze_report_make(const sqzi_weights *w, sqzi_squeeze_report *report,
                                    sqz_error *error)
{
    const sqz_model *model = w->model;
    char name[SQZI_LINEAR_NAME];
    *report = (sqzi_squeeze_report){.allocator = &model->context->allocator,
                                    .n_blocks = w->n_blocks,
                                    .n_others = w->n_others};
    report->others = sqzi_allocate_zeroed(report->allocator, w->n_others, sizeof *report->others);
    report->blocks = sqzi_allocate_zeroed(report->allocator, w->n_blocks, sizeof *report->blocks);
    if (!report->blocks || !report->others)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for a report of %u blocks", w->n_blocks);
    begin_table(model, &w->word, &w->factor, "token_embd", &report->tables[SQZI_TABLE_WORD]);
    begin_table(model, &w->position, NULL, "position_embd", &report->tables[SQZI_TABLE_POSITION]);
    begin_table(model, &w->type, NULL, "token_types", &report->tables[SQZI_TABLE_TYPE]);
    if (w->projection.n_terms)
        begin_linear(model, &w->projection, "embd_output", &report->tables[SQZI_TABLE_PROJECTION]);
    for (uint32_t i = 0; i < w->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) {
            snprintf(name, sizeof name, "blk.%u.%s", (unsigned)i, sqzi_block_linear_name(j));
            begin_linear(model, &w->blocks[i].linears[j], name, &report->blocks[i][j]);
        }
    for (uint32_t i = 0; i < w->n_others; i++)
        begin_linear(model, &w->others[i].linear, w->others[i].name, &report->others[i]);
    return SQZ_OK;
}

void sqzi_squeeze_report_discard(sqzi_squeeze_report *report)
{
    if (!report->allocator) return;
    sqzi_release(report->allocator, report->blocks, report->n_blocks * sizeof *report->blocks);
    sqzi_release(report->allocator, report->others, report->n_others * sizeof *report->others);
    *report = (sqzi_squeeze_report){0};
}

static void finish_linear(const sqzi_weight_linear *linear, sqzi_squeeze_part *part)
{
    snprintf(part->to, sizeof part->to, "removed");
    if (linear->n_terms == 0) return;
    describe_linear(linear, sqzi_storage_name(linear->terms[0].b.storage), part->to);
    part->bytes_after = sqzi_weight_linear_bytes(linear);
}

static void finish_table(const sqzi_weight_matrix *table, sqzi_squeeze_part *part)
{
    if (!part->name[0]) return;
    snprintf(part->to, sizeof part->to, "removed");
    if (!table->rows) return;
    snprintf(part->to, sizeof part->to, "%ux%u %s", (unsigned)table->rows, (unsigned)table->columns,
             sqzi_storage_name(table->storage));
    part->bytes_after = sqzi_weight_matrix_bytes(table);
}

static void finish_words(const sqzi_weights *w, sqzi_squeeze_part *part)
{
    finish_table(&w->word, part);
    if (w->product.parts)
        snprintf(part->to, sizeof part->to, "%ux%u product quantised", (unsigned)w->word.rows,
                 (unsigned)w->product.parts);
    else if (w->factor.rows)
        snprintf(part->to, sizeof part->to, "%ux%u to %u %s", (unsigned)w->word.rows,
                 (unsigned)w->word.columns, (unsigned)w->factor.rows,
                 sqzi_storage_name(w->word.storage));
    part->bytes_after = sqzi_weights_word_bytes(w);
}

void sqzi_squeeze_report_finish(const sqzi_weights *w, sqzi_squeeze_report *report)
{
    finish_words(w, &report->tables[SQZI_TABLE_WORD]);
    finish_table(&w->position, &report->tables[SQZI_TABLE_POSITION]);
    finish_table(&w->type, &report->tables[SQZI_TABLE_TYPE]);
    if (w->projection.n_terms)
        finish_linear(&w->projection, &report->tables[SQZI_TABLE_PROJECTION]);
    for (uint32_t i = 0; i < report->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            snprintf(report->blocks[i][j].to, SQZI_FORM_TEXT, "removed");
    for (uint32_t i = 0; i < w->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++)
            finish_linear(&w->blocks[i].linears[j], &report->blocks[w->blocks[i].source][j]);
    for (uint32_t i = 0; i < w->n_others; i++)
        finish_linear(&w->others[i].linear, &report->others[i]);
}

static void tell(const sqzi_squeeze_part *p,
                 void (*part)(void *user, const sqz_squeezed_part *part), void *user)
{
    if (!p->name[0]) return;
    part(user, &(sqz_squeezed_part){.name = p->name,
                                    .from = p->from,
                                    .to = p->to,
                                    .error = sqrt(p->error),
                                    .bytes_before = p->bytes_before,
                                    .bytes_after = p->bytes_after});
}

void sqzi_squeeze_report_tell(const sqzi_squeeze_report *report,
                              void (*part)(void *user, const sqz_squeezed_part *part), void *user)
{
    for (int i = 0; i < SQZI_TABLE_PARTS; i++) tell(&report->tables[i], part, user);
    for (uint32_t i = 0; i < report->n_blocks; i++)
        for (uint32_t j = 0; j < SQZI_BLOCK_LINEARS; j++) tell(&report->blocks[i][j], part, user);
    for (uint32_t i = 0; i < report->n_others; i++) tell(&report->others[i], part, user);
}
