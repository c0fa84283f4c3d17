// Whatever a device sends: no codec falls over, and what is read can be written and read again.
//
// Input: u8 which (0 CoAP datagram, 1 CoAP stream, 2 links, 3 DDF, else a content format), u8 depth
// of the path that was asked for, then the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "interop/lwm2m/coap.h"
#include "interop/lwm2m/content.h"
#include "interop/lwm2m/core_link.h"
#include "interop/lwm2m/objects.h"

using namespace penstock;
using namespace penstock::interop::lwm2m;

namespace {

void require(bool truth) {
  if (!truth) std::abort();
}

void check_message(const coap::Message& message, bool stream) {
  coap::Outgoing out;
  out.type = message.type;
  out.code = message.code;
  out.id = message.id;
  out.token = message.token;
  for (const auto& option : message.options()) out.add(option.number, as_text(option.value));
  out.payload.assign(message.payload.begin(), message.payload.end());
  Bytes bytes;
  coap::Message again;
  size_t size = 0;
  if (stream)
    coap::write_frame(out, bytes);
  else
    coap::write_datagram(out, bytes);
  require((stream ? coap::read_frame(bytes, SIZE_MAX, again, size)
                  : coap::read_datagram(bytes, again)) == coap::ReadResult::kDone);
  require(again.options().size() == message.options().size() &&
          again.payload.size() == message.payload.size());
  std::string path;
  message.path(path);
  (void)message.block(coap::kBlock1);
  (void)message.query("ep");
  (void)message.has_unknown_critical();
}

void check_content(Format format, ByteView bytes, const Path& base) {
  static const ObjectTable table(built_in_objects());
  std::vector<Entry> entries;
  if (!decode_content(format, bytes, base, table, {}, entries)) return;
  for (const Format other : {Format::kSenmlCbor, Format::kSenmlJson}) {
    const auto written = encode_content(other, entries, base);
    require(written.has_value());
    std::vector<Entry> again;
    // Text that is no UTF-8 is replaced as JSON; names are ours.
    const Status done = decode_content(other, *written, base, table, {}, again);
    if (other == Format::kSenmlCbor) require(done.has_value() && again.size() == entries.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const ByteView bytes = std::as_bytes(std::span(data + 2, size - 2));
  Path base{3, 0, 6};
  base.depth = static_cast<uint8_t>(data[1] % 4);
  coap::Message message;
  size_t used = 0;
  static constexpr Format kFormats[] = {Format::kText,      Format::kOpaque,    Format::kCbor,
                                        Format::kSenmlJson, Format::kSenmlCbor, Format::kTlv,
                                        Format::kJson};
  switch (data[0] % 11) {
    case 0:
      if (coap::read_datagram(bytes, message) == coap::ReadResult::kDone && message.code != 0)
        check_message(message, false);
      break;
    case 1:
      if (coap::read_frame(bytes, 1 << 20, message, used) == coap::ReadResult::kDone)
        check_message(message, true);
      break;
    case 2:
      (void)parse_links(as_text(bytes));
      (void)parse_registration(as_text(bytes));
      break;
    case 3:
      (void)read_ddf(as_text(bytes));
      break;
    default:
      check_content(kFormats[data[0] % 11 - 4], bytes, base);
  }
  return 0;
}
