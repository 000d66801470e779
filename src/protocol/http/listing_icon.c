/* listing_icon: nine outlines of 24 x 24, drawn for this page. */
#include "protocol/http/listing_icon.h"

#define SYMBOL(id) "<symbol id=" id " viewBox='0 0 24 24'>"
#define END        "</symbol>"
/* A sheet of paper with a folded corner. */
#define SHEET                                                                          \
    "<path d='M14 3H6.5A1.5 1.5 0 0 0 5 4.5v15A1.5 1.5 0 0 0 6.5 21h11a1.5 1.5 0 0 0 " \
    "1.5-1.5V8z'/><path d='M14 3v5h5'/>"

/* clang-format off */
static const char symbols[] =
    "<svg width=0 height=0 style=position:absolute aria-hidden=true>"
    SYMBOL("d") "<path d='M3 6.5A1.5 1.5 0 0 1 4.5 5h4.7l2.3 2.5h8A1.5 1.5 0 0 1 21 9v9a1.5 1.5 0 0 "
                "1-1.5 1.5h-15A1.5 1.5 0 0 1 3 18z'/>" END
    SYMBOL("u") "<path d='M12 19V6M6 11.5 12 5.5l6 6'/>" END
    SYMBOL("f") SHEET END
    SYMBOL("t") SHEET "<path d='M8.5 12.5h7M8.5 16.5h5'/>" END
    SYMBOL("c") SHEET "<path d='m10 12-2.2 2.5L10 17m4-5 2.2 2.5L14 17'/>" END
    SYMBOL("z") SHEET "<path d='M10 3v2.5m0 2V10m0 2v2m-1.2 3.5h2.4V14H8.8z'/>" END
    SYMBOL("i") "<rect x='3.5' y='4.5' width='17' height='15' rx='1.5'/>"
                "<circle cx='9' cy='10' r='1.5'/><path d='m4 18 5-4.5 3 2.5 4.5-4.5 4 4'/>" END
    SYMBOL("a") "<path d='M9 18V6l10-2v12'/><circle cx='6.5' cy='18' r='2.5'/>"
                "<circle cx='16.5' cy='16' r='2.5'/>" END
    SYMBOL("v") "<rect x='3.5' y='5' width='17' height='14' rx='1.5'/><path d='M10 9v6l5-3z'/>" END
    "</svg>";
/* clang-format on */

slice listing_icons(void)
{
    return slice_of(symbols, sizeof symbols - 1);
}

static const struct icon {
    char id;
    const char *extensions;
} icons[] = {
    {'i', "jpg jpeg png gif webp avif svg bmp ico tif tiff heic jxl"},
    {'a', "mp3 flac ogg oga opus wav m4a aac mid"},
    {'v', "mp4 mkv webm mov avi m4v ogv mpg mpeg"},
    {'z', "zip gz tgz bz2 xz zst br 7z rar tar deb rpm jar iso img apk"},
    {'t', "txt md pdf doc docx odt rtf epub tex log csv tsv ods xls xlsx odp ppt pptx rst"},
    {'c', "html htm css js mjs ts json xml yaml yml toml c h cc cpp hpp py rb rs go java lua sh "
          "php pl sql wasm ini conf patch diff"},
};

static bool holds(slice words, slice word)
{
    for (slice item; slice_cut(&words, ' ', &item);)
        if (slice_is_nocase(item, word))
            return true;
    return false;
}

char listing_icon_of(slice name)
{
    ssize_t dot = slice_find_last(name, '.');
    slice extension = slice_skip(name, (size_t)(dot + 1));
    if (dot <= 0 || !extension.n)
        return 'f';
    for (size_t i = 0; i < COUNT_OF(icons); i++)
        if (holds(slice_str(icons[i].extensions), extension))
            return icons[i].id;
    return 'f';
}
