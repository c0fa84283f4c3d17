#include "interop/mqtt/websocket.h"

#include <algorithm>
#include <array>
#include <string>

#include <openssl/evp.h>

namespace penstock::interop::mqtt {
namespace {

constexpr size_t kHandshakeMax = 8192;
constexpr uint64_t kFrameMax = 4 << 20;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// The value of a header in an HTTP request; empty where it is missing.
std::string_view header(std::string_view request, std::string_view name) {
  for (size_t at = request.find("\r\n"); at != std::string_view::npos && at + 2 < request.size();) {
    const size_t end = request.find("\r\n", at + 2);
    const std::string_view line =
        request.substr(at + 2, end == std::string_view::npos ? end : end - at - 2);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && lower(line.substr(0, colon)) == name)
      return trim(line.substr(colon + 1));
    at = end;
  }
  return {};
}

bool lists(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (lower(trim(list.substr(0, comma))) == wanted) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

std::string accept_key(std::string_view key) {
  const std::string text =
      std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<char, 64> encoded{};
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), digest.data(),
                                static_cast<int>(size));
  return {encoded.data(), static_cast<size_t>(n)};
}

void append_frame(Bytes& out, uint8_t opcode, ByteView payload) {
  out.push_back(static_cast<std::byte>(0x80 | opcode));
  if (payload.size() < 126) {
    out.push_back(static_cast<std::byte>(payload.size()));
  } else if (payload.size() < 65'536) {
    out.push_back(std::byte{126});
    for (const int shift : {8, 0}) out.push_back(static_cast<std::byte>(payload.size() >> shift));
  } else {
    out.push_back(std::byte{127});
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<std::byte>(payload.size() >> shift));
  }
  append_bytes(out, payload);
}

}  // namespace

Status WebSocket::handshake(Bytes& reply) {
  const std::string_view all = as_text(pending_);
  const size_t end = all.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (all.size() > kHandshakeMax)
      return fail(ErrorCode::kInvalidArgument, "the WebSocket request is too long");
    return {};
  }
  const std::string_view request = all.substr(0, end + 2);
  const std::string_view key = header(request, "sec-websocket-key");
  const bool good = request.starts_with("GET ") &&
                    lower(header(request, "upgrade")) == "websocket" &&
                    lists(header(request, "connection"), "upgrade") &&
                    header(request, "sec-websocket-version") == "13" && key.size() == 24 &&
                    lists(header(request, "sec-websocket-protocol"), "mqtt");
  if (!good) {
    append_bytes(
        reply,
        as_bytes("HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n"
                 "Content-Type: text/plain\r\n\r\nThis port speaks MQTT over WebSocket, "
                 "subprotocol mqtt.\n"));
    return fail(ErrorCode::kInvalidArgument, "not a WebSocket request for subprotocol mqtt");
  }
  append_bytes(
      reply,
      as_bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " +
               accept_key(key) + "\r\n\r\n"));
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(end + 4));
  open_ = true;
  return {};
}

Status WebSocket::one_frame(Bytes& payload, Bytes& reply, bool& more) {
  more = false;
  const std::span<std::byte> rest = std::span(pending_).subspan(used_);
  if (rest.size() < 2) return {};
  const auto b0 = std::to_integer<uint8_t>(rest[0]), b1 = std::to_integer<uint8_t>(rest[1]);
  const uint8_t opcode = b0 & 15;
  const bool control = (opcode & 8) != 0;
  const auto bad = [&](const char* why) {
    const std::array<std::byte, 2> code{std::byte{0x03}, std::byte{0xEA}};  // 1002, protocol error
    append_frame(reply, 8, code);
    return fail(ErrorCode::kInvalidArgument, why);
  };
  if ((b0 & 0x70) != 0) return bad("a WebSocket frame has reserved bits");
  if ((b1 & 0x80) == 0) return bad("a WebSocket frame of a client is not masked");
  size_t header_size = 2;
  uint64_t length = b1 & 127;
  const size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (rest.size() < header_size + extended + 4) return {};
  if (extended > 0) {
    length = 0;
    for (size_t i = 0; i < extended; ++i)
      length = length << 8 | std::to_integer<uint64_t>(rest[2 + i]);
  }
  header_size += extended;
  if (length > kFrameMax || (control && (length > 125 || (b0 & 0x80) == 0)))
    return bad("a WebSocket frame is too long");
  if (rest.size() < header_size + 4 + length) return {};
  const std::byte* mask = rest.data() + header_size;
  std::byte* data = rest.data() + header_size + 4;
  for (uint64_t i = 0; i < length; ++i) data[i] ^= mask[i & 3];
  const ByteView content(data, length);
  Status status;
  switch (opcode) {
    case 0:
    case 2:
      // MQTT packets may span frames as they like (6.0.0-2): the pieces are one stream.
      if ((opcode == 0) != in_message_) return bad("a WebSocket continuation is out of place");
      in_message_ = (b0 & 0x80) == 0;
      append_bytes(payload, content);
      break;
    case 8:
      append_frame(reply, 8, content.first(std::min<size_t>(content.size(), 2)));
      status = fail(ErrorCode::kCancelled, "closed by peer");
      break;
    case 9:
      append_frame(reply, 10, content);
      break;
    case 10:
      break;
    default:
      return bad("MQTT over WebSocket needs binary frames");
  }
  used_ += header_size + 4 + length;
  more = status.has_value();
  return status;
}

Status WebSocket::on_bytes(ByteView wire, Bytes& payload, Bytes& reply) {
  append_bytes(pending_, wire);
  if (!open_) {
    TRY(handshake(reply));
    if (!open_) return {};
  }
  used_ = 0;
  Status status;
  for (bool more = true; more && status;) status = one_frame(payload, reply, more);
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(used_));
  return status;
}

void WebSocket::frame(ByteView payload, Bytes& wire) const { append_frame(wire, 2, payload); }

}  // namespace penstock::interop::mqtt
