# Rates by R: exact limits by poisson.test, the rest from its own formulas.
# Usage: Rscript rates.R cells.csv out.csv; cells: part (site), group, stratum, d, t, w.
options(digits = 17)
arguments <- commandArgs(trailingOnly = TRUE)
cells <- read.csv(arguments[1])
found <- list()
keep <- function(name, ...) found[[length(found) + 1]] <<- data.frame(name = name, ...)
total <- aggregate(cbind(d, t) ~ group, cells, sum)
for (g in total$group) {
  one <- total[total$group == g, ]
  test <- poisson.test(one$d, one$t)
  keep(paste0("rate", g), value = test$estimate, lower = test$conf.int[1], upper = test$conf.int[2], p = NA)
  by <- aggregate(cbind(d, t) ~ stratum + w, cells[cells$group == g, ], sum)
  w <- by$w / sum(by$w)
  y <- sum(w * by$d / by$t); v <- sum(w^2 * by$d / by$t^2); m <- max(w / by$t)
  keep(paste0("standard", g), value = y,
       lower = qgamma(0.025, shape = y^2 / v, scale = v / y),
       upper = qgamma(0.975, shape = (y + m)^2 / (v + m^2), scale = (v + m^2) / (y + m)), p = NA)
}
test <- poisson.test(total$d[2:1], total$t[2:1])
keep("ratio", value = test$estimate, lower = test$conf.int[1], upper = test$conf.int[2], p = test$p.value)
for (within in c("stratum", "site")) {
  key <- if (within == "site") interaction(cells$site, cells$stratum) else cells$stratum
  wide <- tapply(cells$d, list(key, cells$group), sum); time <- tapply(cells$t, list(key, cells$group), sum)
  both <- rowSums(time)
  r <- sum(wide[, 2] * time[, 1] / both); s <- sum(wide[, 1] * time[, 2] / both)
  se <- sqrt(sum(rowSums(wide) * time[, 1] * time[, 2] / both^2) / (r * s))
  keep(paste0("mh_", within), value = r / s, lower = r / s * exp(-qnorm(0.975) * se),
       upper = r / s * exp(qnorm(0.975) * se), p = 2 * pnorm(-abs(log(r / s)) / se))
}
out <- do.call(rbind, found)
for (column in c("value", "lower", "upper", "p")) out[[column]] <- sprintf("%.17g", out[[column]])
write.csv(out, arguments[2], row.names = FALSE)
