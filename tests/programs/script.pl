# Perl: regular expressions, hashes, sorting, files, formats, and modules.
use strict;
use warnings;
use utf8;
use List::Util qw(sum max first);
use POSIX qw(floor strftime);
use Data::Dumper;
use File::Temp qw(tempdir);
use Digest::SHA qw(sha256_hex);
use Time::HiRes ();

binmode STDOUT, ':utf8';
$Data::Dumper::Sortkeys = 1;
my %count;
$count{lc $1}++ while "The quick brown Fox jumps over the lazy dog, the fox" =~ /(\w+)/g;
print join(", ", map { "$_=$count{$_}" } sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count), "\n";
print "sum ", sum(1 .. 1000), " max ", max(3, 9, 2), " first ", first { $_ > 10 } (4, 11, 12);
print "\n", Dumper({ list => [1, 2, { deep => undef }], text => "größe" });
my $text = "2026-03-04";
if (my ($year, $month, $day) = $text =~ /^(\d+)-(\d+)-(\d+)$/) {
    print strftime("%Y/%j", 0, 0, 0, $day, $month - 1, $year - 1900), " ", floor(-2.5), "\n";
}
print sha256_hex("kiln"), "\n";
my $directory = tempdir(CLEANUP => 1);
open(my $out, '>', "$directory/file") or die "open: $!";
printf $out "%05d %s\n", $_, "x" x ($_ % 50) for 1 .. 500;
close $out;
open(my $in, '<', "$directory/file") or die "open: $!";
my ($lines, $length) = (0, 0);
while (<$in>) { $lines++; $length += length }
print "$lines lines, $length characters, ", -s "$directory/file", " bytes\n";
opendir(my $listing, $directory); print join(" ", sort grep { !/^\./ } readdir $listing), "\n";
my @sorted = sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1 .. 1008;
print "sorted ", join(",", @sorted[0 .. 5]), " ", scalar(@sorted), "\n";
my $sprintf = sprintf "%.15g %e %x %s", 0.1 + 0.2, 12345.678, 255, reverse "abc";
print "$sprintf\n", join("|", split /,\s*/, "a, b,c,  d"), "\n";
open(my $missing, '<', '/no/such/file') or print "missing: $!\n";
eval { die { code => 42 } }; print "died with $@->{code}\n";
print "arguments: @ARGV\n";
exit 5;
