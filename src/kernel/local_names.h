/* SPDX-License-Identifier: Apache-2.0 */
/* Names of their own for the static functions of the kernels, which templates compile once a level:
 * gemm_f32_avx2_run_panel in nm, perf and gdb. Each file says, before its other includes,
 *
 *   #define KERNEL(name) gemm_f32_avx2_##name
 *   #include "kernel/local_names.h"
 *
 * run, pack and prepare are written KERNEL(run) where they stand, since kernels have members of
 * these names. tests/tools/check_kernel_names.py finds what is missing here. */
#ifndef SQZK_LOCAL_NAMES_H
#define SQZK_LOCAL_NAMES_H

#ifndef KERNEL
#error "define KERNEL(name) before the includes"
#endif

#define adamw_lanes KERNEL(adamw_lanes)
#define add_products KERNEL(add_products)
#define block_at KERNEL(block_at)
#define chain_sum KERNEL(chain_sum)
#define column_sum KERNEL(column_sum)
#define configure KERNEL(configure)
#define copies_pairs KERNEL(copies_pairs)
#define copy_rows KERNEL(copy_rows)
#define cut_of KERNEL(cut_of)
#define drop_part KERNEL(drop_part)
#define even_heights KERNEL(even_heights)
#define exp_row KERNEL(exp_row)
#define exp_row_to_halves KERNEL(exp_row_to_halves)
#define fill_block KERNEL(fill_block)
#define find_largest KERNEL(find_largest)
#define finish KERNEL(finish)
#define finish_block KERNEL(finish_block)
#define finish_of KERNEL(finish_of)
#define finish_rows KERNEL(finish_rows)
#define finish_slowly KERNEL(finish_slowly)
#define halves_square KERNEL(halves_square)
#define halves_square_part KERNEL(halves_square_part)
#define last_sums KERNEL(last_sums)
#define look_closer KERNEL(look_closer)
#define moments_of KERNEL(moments_of)
#define nothing KERNEL(nothing)
#define pack_bf16_columns KERNEL(pack_bf16_columns)
#define pack_bf16_rows KERNEL(pack_bf16_rows)
#define pack_column KERNEL(pack_column)
#define pack_columns KERNEL(pack_columns)
#define pack_panel KERNEL(pack_panel)
#define pack_rest KERNEL(pack_rest)
#define pack_rows KERNEL(pack_rows)
#define pack_transposed KERNEL(pack_transposed)
#define pack_transposed_part KERNEL(pack_transposed_part)
#define pack_vector KERNEL(pack_vector)
#define panel_bytes KERNEL(panel_bytes)
#define place_block KERNEL(place_block)
#define prepare_row KERNEL(prepare_row)
#define read_memory KERNEL(read_memory)
#define round_row KERNEL(round_row)
#define row_largest KERNEL(row_largest)
#define row_products KERNEL(row_products)
#define row_squares KERNEL(row_squares)
#define row_sum KERNEL(row_sum)
#define rows_left KERNEL(rows_left)
#define run_group KERNEL(run_group)
#define run_panel KERNEL(run_panel)
#define run_row KERNEL(run_row)
#define run_slice KERNEL(run_slice)
#define run_tile KERNEL(run_tile)
#define run_tiles KERNEL(run_tiles)
#define slice_k KERNEL(slice_k)
#define slope KERNEL(slope)
#define square_part KERNEL(square_part)
#define sqzk_gelu_cubics KERNEL(gelu_cubics)
#define sqzk_gelu_quartics KERNEL(gelu_quartics)
#define sqzk_gelu_slope_quartics KERNEL(gelu_slope_quartics)
#define square_root KERNEL(square_root)
#define strip_row_bytes KERNEL(strip_row_bytes)
#define sum_block_of KERNEL(sum_block_of)
#define sum_columns KERNEL(sum_columns)
#define tile_of KERNEL(tile_of)
#define transpose_floats KERNEL(transpose_floats)
#define transpose_halves KERNEL(transpose_halves)
#define transpose_reals KERNEL(transpose_reals)
#define v_transpose KERNEL(v_transpose)
#define write_dx KERNEL(write_dx)
#define write_row KERNEL(write_row)

#endif
