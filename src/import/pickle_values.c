/* SPDX-License-Identifier: Apache-2.0 */
/* The store of values of the pickle reader: nodes of one array, containers as chains of cells in
 * it. Nothing recurses, and all of it is bounded. */
#include "import/pickle_values.h"

#include "base/error.h"

sqz_status sqzi_pickle_refuse(const sqzi_pickle_machine *m, sqz_status status, const char *what)
{
    return sqzi_fail(m->error, status, m->at, "%s: the pickle %s at its byte %zu", m->file, what,
                     m->at);
}

static sqz_status add(sqzi_pickle_machine *m, sqzi_pickle_node value, uint32_t *index)
{
    if (m->n_nodes == SQZI_PICKLE_NODES)
        return sqzi_pickle_refuse(m, SQZ_ELIMIT, "holds more values than a state dict");
    m->nodes[m->n_nodes] = value;
    *index = m->n_nodes++;
    return SQZ_OK;
}

sqz_status sqzi_pickle_push(sqzi_pickle_machine *m, uint32_t index)
{
    if (m->n_stack == SQZI_PICKLE_STACK)
        return sqzi_pickle_refuse(m, SQZ_ELIMIT, "stacks more values than a state dict");
    m->stack[m->n_stack++] = index;
    return SQZ_OK;
}

sqz_status sqzi_pickle_push_new(sqzi_pickle_machine *m, sqzi_pickle_node value)
{
    uint32_t index = 0;
    const sqz_status status = add(m, value, &index);
    return status == SQZ_OK ? sqzi_pickle_push(m, index) : status;
}

sqz_status sqzi_pickle_pop(sqzi_pickle_machine *m, uint32_t *index)
{
    if (m->n_stack == 0)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "takes a value from an empty stack");
    *index = m->stack[--m->n_stack];
    return SQZ_OK;
}

sqz_status sqzi_pickle_append(sqzi_pickle_machine *m, uint32_t container, uint32_t value)
{
    uint32_t cell = 0;
    const sqz_status status =
        add(m, (sqzi_pickle_node){.kind = SQZI_K_CELL, .first = value, .last = SQZI_PICKLE_NOTHING},
            &cell);
    if (status != SQZ_OK) return status;
    sqzi_pickle_node *c = &m->nodes[container];
    if (c->first == SQZI_PICKLE_NOTHING) c->first = cell;
    else m->nodes[c->last].last = cell;
    c->last = cell;
    return SQZ_OK;
}

sqz_status sqzi_pickle_find_mark(const sqzi_pickle_machine *m, uint32_t *place)
{
    for (uint32_t i = m->n_stack; i-- > 0;)
        if (m->nodes[m->stack[i]].kind == SQZI_K_MARK) {
            *place = i;
            return SQZ_OK;
        }
    return sqzi_pickle_refuse(m, SQZ_EFORMAT, "misses a mark");
}

/* Values from `begin` on become one list in their place. */
sqz_status sqzi_pickle_make_list(sqzi_pickle_machine *m, uint32_t begin, uint32_t keep)
{
    uint32_t list = 0;
    sqz_status status = add(m,
                            (sqzi_pickle_node){.kind = SQZI_K_LIST,
                                               .first = SQZI_PICKLE_NOTHING,
                                               .last = SQZI_PICKLE_NOTHING},
                            &list);
    for (uint32_t i = begin; i < m->n_stack && status == SQZ_OK; i++)
        status = sqzi_pickle_append(m, list, m->stack[i]);
    m->n_stack = keep;
    return status == SQZ_OK ? sqzi_pickle_push(m, list) : status;
}

sqz_status sqzi_pickle_make_tuple(sqzi_pickle_machine *m, uint32_t n)
{
    if (m->n_stack < n)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "takes a value from an empty stack");
    return sqzi_pickle_make_list(m, m->n_stack - n, m->n_stack - n);
}

uint32_t sqzi_pickle_items(const sqzi_pickle_machine *m, uint32_t list, uint32_t *out,
                           uint32_t most)
{
    uint32_t n = 0;
    if (m->nodes[list].kind != SQZI_K_LIST) return most + 1;
    for (uint32_t cell = m->nodes[list].first; cell != SQZI_PICKLE_NOTHING && n <= most;
         cell = m->nodes[cell].last, n++)
        if (n < most) out[n] = m->nodes[cell].first;
    return n;
}
