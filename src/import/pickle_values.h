/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the pickle machine (pickle.c): nodes, a stack of them, and the memo, all of a fixed
 * size. */
#ifndef SQZI_PICKLE_VALUES_H
#define SQZI_PICKLE_VALUES_H

#include "base/memory.h"
#include "base/span.h"

enum { SQZI_PICKLE_NODES = 1 << 19, SQZI_PICKLE_STACK = 1 << 17, SQZI_PICKLE_MEMO = 1 << 19 };
#define SQZI_PICKLE_NOTHING UINT32_MAX

typedef enum sqzi_pickle_kind {
    SQZI_K_NONE,
    SQZI_K_NUMBER,
    SQZI_K_TEXT,
    SQZI_K_LIST,
    SQZI_K_DICT,
    SQZI_K_GLOBAL,
    SQZI_K_STORAGE,
    SQZI_K_TENSOR,
    SQZI_K_MARK,
    SQZI_K_CELL
} sqzi_pickle_kind;

/* NUMBER: number. TEXT: text. LIST (tuples too) and DICT: cells from first to last, keys and values
 * in turn. GLOBAL: number is the callable, text its name. STORAGE: text the type, first the key's
 * node, number the size. TENSOR: first the list of its arguments. CELL: first the value, last the
 * next cell. */
typedef struct sqzi_pickle_node {
    sqzi_span text;
    int64_t number;
    uint32_t first, last;
    uint32_t kind;
} sqzi_pickle_node;

typedef struct sqzi_pickle_machine {
    const char *file;
    const unsigned char *data;
    size_t bytes, at;
    sqzi_pickle_node *nodes;    /* [SQZI_PICKLE_NODES] */
    uint32_t *stack, *memo;     /* indices of nodes, [SQZI_PICKLE_STACK] and [SQZI_PICKLE_MEMO] */
    uint32_t n_nodes, n_stack, n_memo;
    sqz_error *error;
} sqzi_pickle_machine;

/* "FILE: the pickle WHAT at its byte N". */
sqz_status sqzi_pickle_refuse(const sqzi_pickle_machine *m, sqz_status status, const char *what);

/* The stack. SQZ_ELIMIT where it or the store is full, SQZ_EFORMAT where it is empty. */
SQZ_NODISCARD sqz_status sqzi_pickle_push(sqzi_pickle_machine *m, uint32_t index);
SQZ_NODISCARD sqz_status sqzi_pickle_push_new(sqzi_pickle_machine *m, sqzi_pickle_node value);
SQZ_NODISCARD sqz_status sqzi_pickle_pop(sqzi_pickle_machine *m, uint32_t *index);
/* Index on the stack of the topmost mark. */
SQZ_NODISCARD sqz_status sqzi_pickle_find_mark(const sqzi_pickle_machine *m, uint32_t *place);

/* Containers: one more value at the end; the values of the stack from `begin` on as one list, which
 * goes to place `keep`; the topmost n as one. */
SQZ_NODISCARD sqz_status sqzi_pickle_append(sqzi_pickle_machine *m, uint32_t container,
                                            uint32_t value);
SQZ_NODISCARD sqz_status sqzi_pickle_make_list(sqzi_pickle_machine *m, uint32_t begin,
                                               uint32_t keep);
SQZ_NODISCARD sqz_status sqzi_pickle_make_tuple(sqzi_pickle_machine *m, uint32_t n);
/* Items of a list, at most `most` into out; returns how many there are, most + 1 for more or for
 * what is no list. */
uint32_t sqzi_pickle_items(const sqzi_pickle_machine *m, uint32_t list, uint32_t *out,
                           uint32_t most);

#endif
