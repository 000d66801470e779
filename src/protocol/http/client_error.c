/* client_error: what went wrong, in a sentence. */
#include "protocol/http/client.h"

#define TEXT_AT(code) [(code)-HTTP_CLIENT_BAD_URL]

const char *http_client_error_text(int error)
{
    static const char *const texts[] = {
        TEXT_AT(HTTP_CLIENT_BAD_URL) = "The URL is not valid.",
        TEXT_AT(HTTP_CLIENT_NO_TLS) = "https is not spoken here.",
        TEXT_AT(HTTP_CLIENT_BAD_METHOD) = "The method is not valid, or is CONNECT.",
        TEXT_AT(HTTP_CLIENT_BAD_FIELD) =
            "A header field is not valid, is too long, or is one that the client writes itself.",
        TEXT_AT(HTTP_CLIENT_BAD_BODY) = "The request's body is not as long as was promised.",
        TEXT_AT(HTTP_CLIENT_BUSY) = "There are too many connections to other servers.",
        TEXT_AT(HTTP_CLIENT_NO_RESOLVER) = "Names of hosts cannot be looked up here.",
        TEXT_AT(HTTP_CLIENT_NO_ADDRESS) = "The host has no address.",
        TEXT_AT(HTTP_CLIENT_CONNECT_TIMEOUT) = "No connection was made in time.",
        TEXT_AT(HTTP_CLIENT_HEAD_TIMEOUT) = "The server did not answer in time.",
        TEXT_AT(HTTP_CLIENT_IDLE_TIMEOUT) = "The server stopped sending in the middle.",
        TEXT_AT(HTTP_CLIENT_TOTAL_TIMEOUT) = "The request was not done in time.",
        TEXT_AT(HTTP_CLIENT_NO_ANSWER) = "The server closed the connection without an answer.",
        TEXT_AT(HTTP_CLIENT_CUT_SHORT) = "The server closed the connection in the middle.",
        TEXT_AT(HTTP_CLIENT_BAD_HEAD) = "The head of the answer is malformed.",
        TEXT_AT(HTTP_CLIENT_HEAD_TOO_LONG) = "The head of the answer is too long.",
        TEXT_AT(HTTP_CLIENT_BAD_CHUNKS) = "The chunks of the answer are malformed.",
        TEXT_AT(HTTP_CLIENT_BODY_TOO_LONG) = "The body of the answer is too long.",
        TEXT_AT(HTTP_CLIENT_UPGRADED) = "The server changed to another protocol unasked.",
        TEXT_AT(HTTP_CLIENT_BAD_REDIRECT) = "The redirect leads to no URL that can be followed.",
        TEXT_AT(HTTP_CLIENT_TOO_MANY_REDIRECTS) = "There are too many redirects.",
    };
    _Static_assert(COUNT_OF(texts) == HTTP_CLIENT_ERROR_END - HTTP_CLIENT_BAD_URL,
                   "each error has its sentence");
    if (error >= HTTP_CLIENT_BAD_URL && error < HTTP_CLIENT_ERROR_END)
        return texts[error - HTTP_CLIENT_BAD_URL];
    const char *text = strerrordesc_np(-error);
    return text ? text : "Unknown error";
}
