/* l_described: what scripts can use, as tables: every array of functions and of options that a binding exports. */
#include "script/l_api.h"

/* The order is that of the help and the reference. */
#define FUNCTIONS(X)                                                                                                   \
    X(l_core_functions, l_core_count)                                                                                  \
    X(l_process_functions, l_process_function_count)                                                                   \
    X(l_task_methods, l_task_method_count)                                                                             \
    X(l_unit_functions, l_unit_function_count)                                                                         \
    X(l_http_functions, l_http_function_count)                                                                         \
    X(l_wrapper_functions, l_wrapper_function_count)                                                                   \
    X(l_request_field_rows, l_request_field_row_count)                                                                 \
    X(l_request_methods, l_request_method_count)                                                                       \
    X(l_tcp_functions, l_tcp_function_count)                                                                           \
    X(l_conn_methods, l_conn_method_count)                                                                             \
    X(l_json_functions, l_json_function_count)

#define OPTIONS(X)                                                                                                     \
    X("medusa.http.server", l_http_options, l_http_option_count)                                                       \
    X("medusa.tcp.server", l_tcp_options, l_tcp_option_count)                                                          \
    X("medusa.limits", l_limits_options, l_limits_option_count)

#define EXTERN_FUNCTIONS(rows, count)                                                                                  \
    extern const struct l_function rows[];                                                                             \
    extern const size_t count;
#define EXTERN_OPTIONS(name, rows, count)                                                                              \
    extern const struct l_option rows[];                                                                               \
    extern const size_t count;

FUNCTIONS(EXTERN_FUNCTIONS)
OPTIONS(EXTERN_OPTIONS)

const struct l_function *l_described(size_t i, size_t *count_out)
{
#define ENTRY(rows, count) {rows, &(count)},
    static const struct {
        const struct l_function *rows;
        const size_t *count;
    } all[] = {FUNCTIONS(ENTRY)};
#undef ENTRY
    if (i >= COUNT_OF(all))
        return NULL;
    *count_out = *all[i].count;
    return all[i].rows;
}

const struct l_option *l_described_options(slice function, size_t *count_out)
{
#define ENTRY(name, rows, count) {name, rows, &(count)},
    static const struct {
        const char *name;
        const struct l_option *rows;
        const size_t *count;
    } all[] = {OPTIONS(ENTRY)};
#undef ENTRY
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (!slice_is(function, slice_str(all[i].name)))
            continue;
        *count_out = *all[i].count;
        return all[i].rows;
    }
    return NULL;
}
