/* l_described: what scripts can use, as tables: every array of functions and of options that a
 * binding exports. */
#include "script/l_api.h"

/* The order is that of the help and the reference. */
#define FUNCTIONS(X)                                               \
    X(l_core_functions, l_core_count)                              \
    X(l_process_functions, l_process_function_count)               \
    X(l_task_methods, l_task_method_count)                         \
    X(l_unit_functions, l_unit_function_count)                     \
    X(l_include_functions, l_include_function_count)               \
    X(l_require_functions, l_require_function_count)               \
    X(l_work_functions, l_work_function_count)                     \
    X(l_http_functions, l_http_function_count)                     \
    X(l_request_field_rows, l_request_field_row_count)             \
    X(l_request_methods, l_request_method_count)                   \
    X(l_upload_methods, l_upload_method_count)                     \
    X(l_events_methods, l_events_method_count)                     \
    X(l_http_files_functions, l_http_files_function_count)         \
    X(l_wrapper_functions, l_wrapper_function_count)               \
    X(l_client_functions, l_client_function_count)                 \
    X(l_response_methods, l_response_method_count)                 \
    X(l_tcp_functions, l_tcp_function_count)                       \
    X(l_net_functions, l_net_function_count)                       \
    X(l_conn_methods, l_conn_method_count)                         \
    X(l_udp_functions, l_udp_function_count)                       \
    X(l_udp_methods, l_udp_method_count)                           \
    X(l_files_functions, l_files_function_count)                   \
    X(l_tree_methods, l_tree_method_count)                         \
    X(l_file_methods, l_file_method_count)                         \
    X(l_shared_functions, l_shared_function_count)                 \
    X(l_sub_functions, l_sub_function_count)                       \
    X(l_sub_methods, l_sub_method_count)                           \
    X(l_shared_journal_functions, l_shared_journal_function_count) \
    X(l_sqlite_functions, l_sqlite_function_count)                 \
    X(l_db_methods, l_db_method_count)                             \
    X(l_transaction_methods, l_transaction_method_count)           \
    X(l_json_functions, l_json_function_count)                     \
    X(l_encoding_functions, l_encoding_function_count)             \
    X(l_url_functions, l_url_function_count)                       \
    X(l_hash_functions, l_hash_function_count)                     \
    X(l_hash_methods, l_hash_method_count)                         \
    X(l_random_functions, l_random_function_count)

#define OPTIONS(X)                                                                      \
    X("medusa.http.server", l_http_options, l_http_option_count)                        \
    X("medusa.tcp.server", l_tcp_options, l_tcp_option_count)                           \
    X("medusa.tcp.connect", l_connect_options, l_connect_option_count)                  \
    X("medusa.files", l_files_options, l_files_option_count)                            \
    X("medusa.http.files", l_http_files_options, l_http_files_option_count)             \
    X("tree:list", l_tree_list_options, l_tree_list_option_count)                       \
    X("tree:write", l_tree_write_options, l_tree_write_option_count)                    \
    X("tree:rename", l_tree_rename_options, l_tree_rename_option_count)                 \
    X("file:close", l_file_close_options, l_file_close_option_count)                    \
    X("req:set_cookie", l_cookie_options, l_cookie_option_count)                        \
    X("req:form", l_form_options, l_form_option_count)                                  \
    X("req:events", l_events_options, l_events_option_count)                            \
    X("medusa.work", l_work_options, l_work_option_count)                               \
    X("medusa.shared.journal", l_shared_journal_options, l_shared_journal_option_count) \
    X("medusa.limits", l_limits_options, l_limits_option_count)

#define EXTERN_FUNCTIONS(rows, count)      \
    extern const struct l_function rows[]; \
    extern const size_t count;
#define EXTERN_OPTIONS(name, rows, count) \
    extern const struct l_option rows[];  \
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
