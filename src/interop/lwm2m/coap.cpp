#include "interop/lwm2m/coap.h"

#include <algorithm>

#include <fmt/format.h>

namespace penstock::interop::lwm2m::coap {
namespace {

uint8_t at(ByteView bytes, size_t index) { return static_cast<uint8_t>(bytes[index]); }

struct CodeName {
  uint8_t code;
  std::string_view text;
};
constexpr CodeName kCodeNames[] = {
    {kGet, "GET"},
    {kPost, "POST"},
    {kPut, "PUT"},
    {kDelete, "DELETE"},
    {kFetch, "FETCH"},
    {kPatch, "PATCH"},
    {kIpatch, "iPATCH"},
    {kCreated, "Created"},
    {kDeleted, "Deleted"},
    {kValid, "Valid"},
    {kChanged, "Changed"},
    {kContent, "Content"},
    {kContinue, "Continue"},
    {kBadRequest, "Bad Request"},
    {kUnauthorized, "Unauthorized"},
    {kBadOption, "Bad Option"},
    {kForbidden, "Forbidden"},
    {kNotFound, "Not Found"},
    {kMethodNotAllowed, "Method Not Allowed"},
    {kNotAcceptable, "Not Acceptable"},
    {kIncomplete, "Request Entity Incomplete"},
    {kConflict, "Conflict"},
    {kPreconditionFailed, "Precondition Failed"},
    {kTooLarge, "Request Entity Too Large"},
    {kUnsupportedFormat, "Unsupported Content-Format"},
    {kInternalError, "Internal Server Error"},
    {kNotImplemented, "Not Implemented"},
    {kUnavailable, "Service Unavailable"},
};

// A delta or length nibble with what follows it; false: reserved or cut off.
bool read_extended(unsigned nibble, ByteView bytes, size_t& pos, size_t& out) {
  if (nibble == 15) return false;
  out = nibble;
  if (nibble == 13) {
    if (pos + 1 > bytes.size()) return false;
    out = 13U + at(bytes, pos++);
  } else if (nibble == 14) {
    if (pos + 2 > bytes.size()) return false;
    out = 269U + (static_cast<size_t>(at(bytes, pos)) << 8 | at(bytes, pos + 1));
    pos += 2;
  }
  return true;
}

}  // namespace

std::string code_text(uint8_t code) { return fmt::format("{}.{:02}", code >> 5, code & 0x1f); }

std::string code_words(uint8_t code) {
  for (const auto& entry : kCodeNames)
    if (entry.code == code)
      return code < 32 ? std::string(entry.text)
                       : fmt::format("{} {}", code_text(code), entry.text);
  return code_text(code);
}

Token Token::of(uint64_t number, uint8_t size) {
  Token token;
  token.size = size;
  for (uint8_t i = 0; i < size; ++i)
    token.bytes[i] = static_cast<std::byte>(number >> 8 * (size - 1 - i));
  return token;
}

Token Token::of(ByteView bytes) {
  Token token;
  token.size = static_cast<uint8_t>(bytes.size());
  std::ranges::copy(bytes, token.bytes.begin());
  return token;
}

uint64_t Token::number() const {
  uint64_t out = 0;
  for (uint8_t i = 0; i < size; ++i) out = out << 8 | static_cast<uint8_t>(bytes[i]);
  return out;
}

// -- reading

bool read_options(ByteView bytes, Message& out) {
  size_t pos = 0, number = 0;
  out.count_ = 0;
  out.payload = {};
  while (pos < bytes.size()) {
    const uint8_t head = at(bytes, pos++);
    if (head == 0xff) {
      out.payload = bytes.subspan(pos);
      return !out.payload.empty();  // a marker without a payload is an error (RFC 7252, 3)
    }
    size_t delta = 0, length = 0;
    if (!read_extended(head >> 4, bytes, pos, delta)) return false;
    if (!read_extended(head & 15U, bytes, pos, length)) return false;
    number += delta;
    if (number > 65'535 || bytes.size() - pos < length) return false;
    if (out.count_ == Message::kOptionsMax) return false;
    out.options_[out.count_++] = {static_cast<uint16_t>(number), bytes.subspan(pos, length)};
    pos += length;
  }
  return true;
}

ReadResult read_datagram(ByteView bytes, Message& out) {
  if (bytes.size() < 4 || at(bytes, 0) >> 6 != 1) return ReadResult::kIgnore;
  out.type = static_cast<Type>(at(bytes, 0) >> 4 & 3);
  out.code = at(bytes, 1);
  out.id = static_cast<uint16_t>(at(bytes, 2) << 8 | at(bytes, 3));
  out.token = {};
  const size_t token = at(bytes, 0) & 15U;
  if (token > 8 || bytes.size() < 4 + token) return ReadResult::kBroken;
  if (out.code == kEmpty) {
    out.payload = {};
    return bytes.size() == 4 ? ReadResult::kDone : ReadResult::kBroken;
  }
  out.token = Token::of(bytes.subspan(4, token));
  return read_options(bytes.subspan(4 + token), out) ? ReadResult::kDone : ReadResult::kBroken;
}

ReadResult read_frame(ByteView bytes, size_t frame_bytes_max, Message& out, size_t& size) {
  if (bytes.empty()) return ReadResult::kMore;
  const unsigned nibble = at(bytes, 0) >> 4;
  const size_t token = at(bytes, 0) & 15U;
  const size_t extended = nibble == 13 ? 1 : nibble == 14 ? 2 : nibble == 15 ? 4 : 0;
  if (token > 8) return ReadResult::kBroken;
  if (bytes.size() < 2 + extended + token) return ReadResult::kMore;
  size_t length = nibble;
  if (extended > 0) {
    length = 0;
    for (size_t i = 0; i < extended; ++i) length = length << 8 | at(bytes, 1 + i);
    length += nibble == 13 ? 13U : nibble == 14 ? 269U : 65'805U;
  }
  size = 2 + extended + token + length;
  if (size > frame_bytes_max) return ReadResult::kTooLong;
  if (bytes.size() < size) return ReadResult::kMore;
  out.type = Type::kNonConfirmable;
  out.id = 0;
  out.code = at(bytes, 1 + extended);
  out.token = Token::of(bytes.subspan(2 + extended, token));
  return read_options(bytes.subspan(2 + extended + token, length), out) ? ReadResult::kDone
                                                                        : ReadResult::kBroken;
}

std::optional<ByteView> Message::option(uint16_t option_number) const {
  for (const Option& option : options())
    if (option.number == option_number) return option.value;
  return std::nullopt;
}

std::optional<uint32_t> Message::number(uint16_t option_number) const {
  const auto value = option(option_number);
  if (!value || value->size() > 4) return std::nullopt;
  uint32_t out = 0;
  for (const std::byte b : *value) out = out << 8 | static_cast<uint8_t>(b);
  return out;
}

std::optional<Block> Message::block(uint16_t option_number) const {
  const auto value = option(option_number);
  if (!value || value->size() > 3) return std::nullopt;
  const uint32_t raw = *number(option_number);
  const auto szx = static_cast<uint8_t>(raw & 7);
  return Block{raw >> 4, (raw & 8) != 0, szx == 7 ? uint8_t{6} : szx};
}

void Message::path(std::string& out) const {
  out.clear();
  for (const Option& option : options())
    if (option.number == kUriPath) {
      out.push_back('/');
      out.append(as_text(option.value));
    }
  if (out.empty()) out.push_back('/');
}

std::optional<std::string_view> Message::query(std::string_view name) const {
  for (const Option& option : options()) {
    if (option.number != kUriQuery) continue;
    const std::string_view text = as_text(option.value);
    if (text == name) return std::string_view();
    if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=')
      return text.substr(name.size() + 1);
  }
  return std::nullopt;
}

bool Message::has_unknown_critical() const {
  static constexpr uint16_t kKnown[] = {kIfMatch,  kUriHost, kIfNoneMatch, kUriPort, kUriPath,
                                        kUriQuery, kAccept,  kBlock2,      kBlock1};
  return std::ranges::any_of(options(), [](const Option& option) {
    return (option.number & 1) != 0 && std::ranges::find(kKnown, option.number) == std::end(kKnown);
  });
}

// -- writing

void Outgoing::add_number(uint16_t number, uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8)
    if (value >> shift != 0) bytes.push_back(static_cast<char>(value >> shift));
  options.emplace_back(number, std::move(bytes));
}

void Outgoing::add_block(uint16_t number, const Block& block) {
  add_number(number, block.number << 4 | (block.more ? 8U : 0U) | block.szx);
}

void Outgoing::add_path(std::string_view path, uint16_t number) {
  while (!path.empty()) {
    if (path.front() == '/') path.remove_prefix(1);
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) add(number, path.substr(0, end));
    path.remove_prefix(end);
  }
}

namespace {

void put(Bytes& out, size_t byte) { out.push_back(static_cast<std::byte>(byte)); }

unsigned nibble_of(size_t number) {
  return number < 13 ? static_cast<unsigned>(number) : number < 269 ? 13 : 14;
}

void put_extended(Bytes& out, size_t number) {
  if (number >= 269) {
    put(out, (number - 269) >> 8 & 0xff);
    put(out, (number - 269) & 0xff);
  } else if (number >= 13) {
    put(out, number - 13);
  }
}

void put_body(const Outgoing& message, Bytes& out) {
  // Few options, mostly in order already: an insertion sort of indexes needs no memory.
  std::array<uint8_t, Message::kOptionsMax * 2> order{};
  const size_t count = std::min(message.options.size(), order.size());
  for (size_t i = 0; i < count; ++i) {
    size_t at = i;
    for (; at > 0 && message.options[order[at - 1]].first > message.options[i].first; --at)
      order[at] = order[at - 1];
    order[at] = static_cast<uint8_t>(i);
  }
  size_t last = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto& [number, value] = message.options[order[i]];
    const size_t delta = number - last;
    put(out, nibble_of(delta) << 4 | nibble_of(value.size()));
    put_extended(out, delta);
    put_extended(out, value.size());
    append_bytes(out, as_bytes(value));
    last = number;
  }
  if (message.payload.empty()) return;
  put(out, 0xff);
  append_bytes(out, message.payload);
}

}  // namespace

void write_datagram(const Outgoing& message, Bytes& out) {
  put(out, 0x40U | static_cast<unsigned>(message.type) << 4 | message.token.size);
  put(out, message.code);
  put(out, message.id >> 8);
  put(out, message.id & 0xff);
  append_bytes(out, message.token.view());
  put_body(message, out);
}

void write_frame(const Outgoing& message, Bytes& out) {
  Bytes body;
  put_body(message, body);
  const size_t length = body.size();
  const unsigned nibble = length < 65'805 ? nibble_of(length) : 15;
  put(out, nibble << 4 | message.token.size);
  if (nibble == 15)
    for (int shift = 24; shift >= 0; shift -= 8) put(out, (length - 65'805) >> shift & 0xff);
  else
    put_extended(out, length);
  put(out, message.code);
  append_bytes(out, message.token.view());
  append_bytes(out, body);
}

std::array<std::byte, 4> empty_message(Type type, uint16_t id) {
  return {static_cast<std::byte>(0x40U | static_cast<unsigned>(type) << 4), std::byte{0},
          static_cast<std::byte>(id >> 8), static_cast<std::byte>(id & 0xff)};
}

}  // namespace penstock::interop::lwm2m::coap
