#include "base/csv.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace penstock {
namespace {

std::vector<std::string> split(std::string_view record, char separator = ',') {
  std::vector<std::string> fields;
  EXPECT_TRUE(split_csv(record, separator, fields)) << record;
  return fields;
}

class CsvFile : public ::testing::Test {
 protected:
  std::string write(std::string_view content) {
    path_ = ::testing::TempDir() + "csv_test_" + std::to_string(::getpid()) + ".csv";
    std::ofstream(path_) << content;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST(Csv, SplitsWithAndWithoutQuotes) {
  using Fields = std::vector<std::string>;
  EXPECT_EQ(split("a,b,c"), (Fields{"a", "b", "c"}));
  EXPECT_EQ(split(""), (Fields{""}));
  EXPECT_EQ(split("a,,"), (Fields{"a", "", ""}));
  EXPECT_EQ(split(R"("a,b","say ""hi""",c)"), (Fields{"a,b", "say \"hi\"", "c"}));
  EXPECT_EQ(split("1;2", ';'), (Fields{"1", "2"}));
  std::vector<std::string> fields;
  EXPECT_FALSE(split_csv("a,\"b", ',', fields));
}

TEST(Csv, FindsTheSeparator) {
  EXPECT_EQ(csv_separator("time;a;b"), ';');
  EXPECT_EQ(csv_separator("time,a;b,c"), ',');
  EXPECT_EQ(csv_separator("time\ta"), '\t');
  EXPECT_EQ(csv_separator("value"), ',');
}

TEST_F(CsvFile, ReadsRecordByRecord) {
  auto reader =
      CsvReader::open(write("\xEF\xBB\xBFtime;text\r\n1;a\r\n\r\n2;\"two\nlines\"\r\n3\r\n4;d"));
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->header(), (std::vector<std::string>{"time", "text"}));
  EXPECT_EQ((**reader->next())[1], "a");
  EXPECT_EQ((**reader->next())[1], "two\nlines");
  EXPECT_EQ(reader->line(), 4U);
  const auto wrong = reader->next();
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().about.find(":6"), std::string::npos) << wrong.error().text();
  EXPECT_EQ((**reader->next())[1], "d") << "it goes on behind the wrong one";
  EXPECT_FALSE(*reader->next());
}

TEST_F(CsvFile, SaysWhatIsMissing) {
  EXPECT_EQ(CsvReader::open("/nowhere/at/all.csv").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CsvReader::open(write("")).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace penstock
