# pROC's area under a curve with DeLong's error, and brglm2's fit that takes the first
# order of bias away, which in a logistic regression is Firth's.
# Usage: Rscript packages.R predictions.csv | firth.csv
options(digits = 17, warn = 1)  # weights that are no counts are warned of
path <- commandArgs(trailingOnly = TRUE)[1]
rows <- read.csv(path)
if (basename(path) == "predictions.csv") {
  suppressPackageStartupMessages(library(pROC))
  curve <- roc(rows$y, rows$p, levels = c(0, 1), direction = "<", quiet = TRUE)
  found <- data.frame(b = as.numeric(auc(curve)), se = sqrt(var(curve, method = "delong")))
} else {
  suppressPackageStartupMessages(library(brglm2))
  fit <- glm(y ~ . - w, binomial, rows, weights = w, method = "brglmFit", type = "AS_mean",
             epsilon = 1e-13, maxit = 5000, slowit = 1)
  found <- data.frame(b = coef(fit), se = summary(fit)$coefficients[, 2])
}
for (column in names(found)) found[[column]] <- sprintf("%.17g", found[[column]])
write.csv(found, row.names = FALSE, quote = FALSE)
